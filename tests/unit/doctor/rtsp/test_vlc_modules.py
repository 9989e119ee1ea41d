"""Which module a VLC has for RTSP, by the files in its folder, and what the doctor says of it."""

from pathlib import Path

import pytest

from flume.control.rtsp.responses import Media
from flume.doctor.rtsp import diagnosis
from flume.doctor.rtsp.vlc_modules import VlcModules, vlc_modules

TS, H264 = (Media("video", form, "rtsp://a/") for form in ("MP2T/90000", "H264/90000"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of plugins, below a folder that has another name on each machine."""
    monkeypatch.delenv("VLC_PLUGIN_PATH", raising=False)
    plugins = tmp_path / "lib" / "x86_64-linux-gnu" / "vlc" / "plugins"
    (plugins / "access").mkdir(parents=True)
    return plugins


def seen(place: Path) -> VlcModules:
    return vlc_modules((str(place.parents[2] / "*" / "vlc" / "plugins"), "/nowhere/*/plugins"))


def test_the_folder_says_which_module_there_is(place: Path):
    assert seen(place)[:3] == ((str(place),), False, False)
    (place / "access" / "libsatip_plugin.so").touch()
    assert seen(place)[:3] == ((str(place),), False, True)
    (place / "access" / "liblive555_plugin.so").touch()
    assert seen(place)[:3] == ((str(place),), True, True)


def test_a_folder_of_ones_own_counts_and_one_that_is_not_there_does_not(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VLC_PLUGIN_PATH", f"/nowhere:{place}")
    (place / "liblive555_plugin.dll").touch()
    assert vlc_modules(()).has_live555
    monkeypatch.setenv("VLC_PLUGIN_PATH", "/nowhere")
    assert vlc_modules(("/nowhere/vlc",))[:3] == ((), False, False)


@pytest.mark.parametrize(
    ("modules", "finding"),
    [
        (VlcModules(("/a",), has_live555=True, has_sat_ip=True), "live555"),
        (VlcModules(("/a",), has_sat_ip=True), "sat_ip"),
        (VlcModules(("/a",)), "none"),
        (VlcModules(has_library=True), "none"),
        (VlcModules(), "absent"),
    ],
)
def test_what_this_machine_has(modules: VlcModules, finding: str):
    found = diagnosis.vlc(modules, [TS], has_udp=True)
    assert (found.finding, found.weight in {"well", "advice"}) == (finding, True)


@pytest.mark.parametrize(
    ("media", "has_udp", "says"),
    [([TS], True, ""), ([TS], None, ""), ([], None, ""), ([H264], True, "not MPEG-TS"), ([TS], False, "over UDP")],
)
def test_what_debians_vlc_can_do_with_this_stream(media: list[Media], has_udp: bool | None, says: str):
    detail = diagnosis.vlc(VlcModules(("/a",), has_sat_ip=True), media, has_udp=has_udp).detail
    _, cannot, why = detail.partition("it cannot play this stream")
    assert bool(cannot) == bool(says)
    assert says in why
