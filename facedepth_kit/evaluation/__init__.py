"""How good an enhancer is: face RMSE (section IV-D) and, later, the papers' further measures."""
