"""An index that shows another one: what is kept of it, who asks for it, what is on its way."""
