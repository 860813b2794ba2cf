"""Where frames come from: one class a file, chosen by what the input is."""
