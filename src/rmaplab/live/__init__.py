"""The running Linux as referee: real processes do the steps of a litmus, root looks at them."""
