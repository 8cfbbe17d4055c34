"""Plain values: spaces, trials, history, decisions. No torch, no Lightning, no input or output."""
