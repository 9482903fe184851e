"""What can be trained, one file each: layers put together, and what they are asked."""
