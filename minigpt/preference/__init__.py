"""What people prefer: a reward, the policy that maximizes it, and the short cut. Read with lesson 15."""
