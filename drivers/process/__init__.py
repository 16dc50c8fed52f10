"""Ports filled with real processes and files, on one machine: VMs are small child processes, storage is a folder.

For demonstrations, and for tests in which workers really run, really race and are really killed.
"""
