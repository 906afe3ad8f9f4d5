"""Brands of pictures in ISO media files (HEIF), which begin like MP4 files."""

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
STRUCTURAL_BRANDS = frozenset({b"mif1", b"msf1"})
PICTURE_BRANDS = HEIC_BRANDS | AVIF_BRANDS | STRUCTURAL_BRANDS
