"""Number sequences and formal languages: trained on some, asked about others."""
