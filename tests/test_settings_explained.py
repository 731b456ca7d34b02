"""Every setting that a recipe can name says what it means, so that `mmevolve explain` can."""

import pytest

from mmevolve.config.parts import part_names
from mmevolve.config.signatures import own_signature


@pytest.mark.parametrize("name", sorted(part_names()))
def test_a_part_and_each_of_its_settings_are_explained(name):
    signature = own_signature(name)
    assert signature is not None and signature.doc
    assert [p.name for p in signature.parameters if not p.doc] == []
