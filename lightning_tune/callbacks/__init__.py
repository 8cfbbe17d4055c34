"""Lightning callbacks: the only folder that subclasses Lightning's `Callback`."""
