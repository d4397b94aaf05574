"""The shipped litmus files; `rmaplab.litmus.shipped` reads them."""
