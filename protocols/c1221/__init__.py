"""C12.21, the telephone: what a call changes of C12.18, by the same file names.

``profile`` has the figures and the states, ``authentication`` the proof of a key by DES.
"""
