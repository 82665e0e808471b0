"""The process and the machine: settings that make a CPU fast, memory, names of devices, whole files, array types.

In come paths, bytes and devices; out come numbers, names and files. Nothing here knows models, queries or plans, and
`runtime` knows only the standard library, so that it can run before torch is imported.
"""
