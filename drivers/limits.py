"""What both real stores refuse, so that whoever moves from one to the other meets nothing new."""

DOCUMENT_BYTES_MAX = 16 * 2**20  # MongoDB's own limit, of one document as it is stored
