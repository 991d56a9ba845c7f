"""C12.22 / IEEE 1703: application titles, the ACSE envelope, EPSEM and EAX' security."""
