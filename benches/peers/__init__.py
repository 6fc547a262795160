"""The MNIST network as each library's users would train it, one program per library. See `protocol`."""
