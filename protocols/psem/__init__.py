"""PSEM, the language of all three standards: requests and answers without what carries them.

``services`` has them as values, ``codec`` makes octets of them and back, ``codes`` names the
codes; ``identification`` is the one answer with parts, ``description`` puts messages in words.
"""
