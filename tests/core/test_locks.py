import threading

import pytest

from simam_deploy.core.staging import alone_in, locked


@pytest.mark.parametrize(("hold", "name"), [(alone_in, "."), (locked, "key.lock")])
def test_the_second_waits_for_the_first(hold, name, tmp_path):
    entered = threading.Event()

    def second():
        with hold(tmp_path / name):
            entered.set()

    thread = threading.Thread(target=second)
    with hold(tmp_path / name):
        thread.start()
        assert not entered.wait(0.2)
    thread.join(timeout=10)
    assert entered.is_set()


def test_a_folders_lock_leaves_nothing_behind(tmp_path):
    with alone_in(tmp_path):
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []
