"""What people think of answers: the page that they rate them on, what they said, and what can be learned from it."""
