"""`bench --mode rl`: how a step of reinforcement learning divides into its parts."""
