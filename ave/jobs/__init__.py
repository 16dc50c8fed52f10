"""The Job Center: every change to the cluster is a Job, split by a Leader task into Follower tasks."""
