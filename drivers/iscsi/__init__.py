"""The BlockStorage port on iSCSI: a storage box with raw files behind user-space targets, and its clients on every host."""
