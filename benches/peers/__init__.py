"""The workloads as each library's users would write them, one program per library. See `protocol`."""
