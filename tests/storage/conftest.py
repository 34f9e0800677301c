import pytest

# They hold the tests of every backend, but are no test files themselves.
pytest.register_assert_rewrite("tests.storage.contract_files", "tests.storage.contract_catalog")
