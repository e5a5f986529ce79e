"""Whether predictions of time and memory hold on runs that were not seen."""
