"""High availability: the storage lease, the verdict, the fence and the rescue. ``docs/ha.md`` says why it is safe."""
