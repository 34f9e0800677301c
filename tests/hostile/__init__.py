"""An index that other indexes should not have to live with; `tests.hostile.upstream` starts it."""
