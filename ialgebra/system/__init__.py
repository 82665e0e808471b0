"""The process and the machine: settings for speed, memory, forks, names of devices, whole files, array types.

In: paths, bytes and devices. Out: numbers, names and files. This room may not know models, queries or plans; `runtime`
imports only the standard library, so that it can run before torch is imported.
"""
