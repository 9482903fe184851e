"""Recurrent networks as pure functions: no file is opened here, nothing printed."""
