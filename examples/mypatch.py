"""A patch of one's own: 2b472611a32a, which came in 3.0, on top of v2.6.38."""

from rmaplab.history import V2_6_38


class MyPatch(V2_6_38):
    """A racing __ksm_exit may have taken the last mm off the list since list_empty() was asked."""

    def _scan_mm(self, slot):
        """The list is empty: there is no page to look at."""
        return (None, None) if slot == self.ksm_mm_head else super()._scan_mm(slot)
