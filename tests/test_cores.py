"""How many cores the process may use: its affinity and its cgroups' limits."""

import pytest

from lstm_native import _config

V2 = "0::/"
V1 = "12:pids:/\n4:cpu,cpuacct:/\n1:name=systemd:/\n"


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        (V2, {"cpu.max": "150000 100000\n"}, 1.5),
        (V2, {"cpu.max": "max 100000\n"}, None),
        (V2, {"cpu.max": "garbage"}, None),
        (V2, {"cpu.max": ""}, None),
        (V2, {"cpu.max": "100000 0"}, None),
        (V2, {}, None),
        # its own place, and those above it
        ("0::/a/b", {"a/b/cpu.max": "200000 100000", "a/cpu.max": "max 100000"}, 2.0),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
        ("0::/a/b", {"a/b/cpu.max": "400000 100000", "cpu.max": "300000 100000"}, 3.0),
        ("0::/a", {"b/cpu.max": "100000 100000"}, None),
        # a place of the machine's that a container does not see
        ("0::/system.slice/docker-1", {"cpu.max": "100000 100000"}, 1.0),
        # what no hierarchy has
        ("0::/../../other", {"cpu.max": "100000 100000"}, 1.0),
        (V1, {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        (V1, {"cpu/cpu.cfs_quota_us": "200000\n"}, None),
        (
            "4:cpu,cpuacct:/a",
            {"cpu/a/cpu.cfs_quota_us": "70000", "cpu/a/cpu.cfs_period_us": "100000"},
            0.7,
        ),
        # both versions at once, as some systems mount them
        (
            V1 + V2,
            {
                "cpu/cpu.cfs_quota_us": "200000",
                "cpu/cpu.cfs_period_us": "100000",
                "cpu.max": "100000 100000",
            },
            1.0,
        ),
    ],
)
def test_cgroup_limits(tmp_path, membership, files, limit):
    mount = tmp_path / "mount"
    write(mount, files)
    own = tmp_path / "cgroup"
    own.write_text(membership)
    assert _config.cpu_limit(mount, own) == limit


def test_without_a_list_of_memberships(tmp_path):
    write(tmp_path, {"cpu.max": "100000 100000"})
    assert _config.cpu_limit(tmp_path, tmp_path / "none") == 1.0


@pytest.mark.parametrize(("limit", "cores"), [(0.5, 1), (1.5, 2), (1e9, None), (None, None)])
def test_a_part_of_a_core_counts_as_one(monkeypatch, limit, cores):
    monkeypatch.setattr(_config, "cpu_limit", lambda *_: None)
    all_cores = _config.usable_cores()
    monkeypatch.setattr(_config, "cpu_limit", lambda *_: limit)
    assert _config.usable_cores() == min(cores or all_cores, all_cores)
