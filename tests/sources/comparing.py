"""Compares what arrived with what an entry promises. Each function returns problems, one line each."""

import difflib
import itertools
import re
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from sources.entry import Entry, Part
from sources.playing import Played
from support.clients.recorder import Recorder
from support.media.decoding import Decoded, Picture, Track, decode, decode_ts
from support.media.tables import languages_of
from support.media.ts_stream import Check

COPIED_MS, TRANSCODED_MS = 1.0, 25.0
SEAM_S = 0.25
"""The longest silence between two items."""

OVERLAP_S = 0.03
"""A track of an item may begin so much before the end of the one before: a container may count the last audio frame
shorter than it is, and the first frame of AAC is silent."""

SOUND_S = 0.06
"""How much longer or shorter transcoded sound may be: what an encoder adds at its begin, and its last frame."""

PCR_GAP_S = 0.25
PCR_HZ = 27_000_000
PTS_HZ = 90_000


def expected(part: Part, folder: Path, transcoded: Collection[str] = ()) -> Decoded:
    """Return what *part* promises. Of audio that is encoded anew, a frame is what its decoder gives."""
    maps = [part.video] if part.video else []
    maps += list(part.audio) if part.audio is not None else ["0:a?"]
    decoded = decode(
        folder / part.file, options=part.options, maps=[*maps, "0:s?", "0:d?"], decode_audio="audio" in transcoded
    )
    if not part.video:
        decoded = Decoded((), tuple(track for track in decoded.tracks if track.kind != "video"))
    if part.rate:
        decoded = Decoded(
            tuple(Picture(number / part.rate, each.checksum) for number, each in enumerate(decoded.pictures)),
            decoded.tracks,
        )
    return decoded


def length_s(decoded: Decoded, part: Part) -> float:
    """Return how long it plays, from its first frame to the end of its last."""
    if part.still_s is not None:
        return part.still_s
    ends, begins = [], []
    if decoded.pictures:
        begins.append(decoded.pictures[0].time_s)
        ends.append(decoded.pictures[-1].time_s + picture_s(decoded))
    for track in decoded.of("audio"):
        begins.append(track.begins_s)
        ends.append(track.ends_s)
    return max(ends) - min(begins) if ends else 0.0


def picture_s(decoded: Decoded) -> float:
    """Return how long its last picture stays: as long as the container says, else as the one before."""
    times = [picture.time_s for picture in decoded.pictures]
    if len(times) > 1:
        return times[-1] - times[-2]
    durations = [sample.duration_s for track in decoded.of("video") for sample in track.samples]
    return durations[0] if durations and durations[0] > 0 else 0.04


def compare(entry: Entry, played: Played, parts: Sequence[Decoded]) -> list[str]:
    """Return everything in *played* that is not as *entry* promises; *parts* are one loop."""
    problems = list(played.problems)
    problems += [f"the log has no line with {each!r}" for each in entry.says(played.log)]
    recorder = played.recorder
    if recorder is None or not recorder.payloads:
        return problems or ["nothing was sent"]
    counts = " ".join(recorder.counts)
    problems += [f"status counts no {each!r}: {counts}" for each in entry.counted if not re.search(each, counts)]
    if recorder.gaps:
        problems.append(f"{recorder.gaps} datagrams are missing at the client")
    problems += compare_stream(entry, recorder, parts)
    received = decoded_of(recorder.data)
    problems += compare_pictures(entry, received, parts)
    problems += compare_audio(entry, received, parts)
    problems += compare_others(entry, received, parts)
    if entry.late is not None:
        problems += compare_late(entry, played, parts)
    return problems


def decoded_of(data: bytes) -> Decoded:
    """Decode a transport stream."""
    with tempfile.NamedTemporaryFile(suffix=".ts") as file:
        file.write(data)
        file.flush()
        return decode_ts(Path(file.name))


# --- the transport stream ------------------------------------------------------------------------------------


def compare_stream(entry: Entry, recorder: Recorder, parts: Sequence[Decoded]) -> list[str]:
    """Return what is wrong with the transport stream itself: counters, references, tables, rate."""
    check = Check(recorder.data)
    problems = []
    if check.continuity_errors:
        problems.append(f"{check.continuity_errors} continuity errors")
    steps = [(b - a) / PCR_HZ for (_, a), (_, b) in itertools.pairwise(check.pcrs)]
    if steps and min(steps) < 0:
        problems.append(f"the PCR goes back by {-min(steps):.2f} s")
    if steps and max(steps) > PCR_GAP_S:
        problems.append(f"{sum(step > PCR_GAP_S for step in steps)} PCR gaps, the longest {max(steps):.2f} s")
    problems += _past(check)
    tables = [len(tables) for pid, tables in check.tables.items() if pid]
    same = len(entry.expected()) * entry.loops == 1 or _one_shape(entry, parts)
    if same and max(tables, default=0) > 1:
        problems.append(f"{max(tables)} different PMTs for items of one shape")
    if entry.languages is not None:
        said = languages_of(check.tables.get(0x1000, set()))
        if said != entry.languages:
            problems.append(f"the PMT's languages are {said}, not {entry.languages}")
    return problems + _rate(entry, recorder)


def _one_shape(entry: Entry, parts: Sequence[Decoded]) -> bool:
    shapes = {
        tuple((track.kind, track.codec) for track in part.tracks if track.kind in {"video", "audio"}) for part in parts
    }
    return len(shapes) == 1


def _past(check: Check) -> list[str]:
    """Return whether frames come after their time: their DTS is before the PCR that was sent before them."""
    late = 0.0
    for elementary in check.pes.values():
        pcrs, at = check.pcrs, 0
        for pes in elementary:
            while at + 1 < len(pcrs) and pcrs[at + 1][0] <= pes.packet:
                at += 1
            if pcrs and pcrs[at][0] <= pes.packet:
                late = max(late, pcrs[at][1] / PCR_HZ - pes.dts / PTS_HZ)
    return [f"frames are up to {late:.2f} s in the past"] if 0.01 < late < 20_000 else []


def _rate(entry: Entry, recorder: Recorder) -> list[str]:
    """Return whether the stream came faster or slower than its own clock says."""
    if len(recorder.times_s) < 10:
        return []
    took_s = recorder.times_s[-1] - recorder.times_s[0]
    check = Check(recorder.data)
    if len(check.pcrs) < 2:
        return ["there is no PCR"]
    clock_s = (check.pcrs[-1][1] - check.pcrs[0][1]) / PCR_HZ
    # Too slow is only said where nothing but the host can be the reason.
    if took_s < clock_s * 0.9 - 1.5 or (took_s > clock_s * 1.5 + 3 and not entry.transcoded):
        return [f"{clock_s:.1f} s of stream came in {took_s:.1f} s"]
    return []


# --- pictures ------------------------------------------------------------------------------------------------


class Placed(NamedTuple):
    """One part of one loop, and the pictures that came for it."""

    part: Part
    promised: Decoded
    pictures: Sequence[Picture]


def placed(entry: Entry, received: Decoded, parts: Sequence[Decoded]) -> list[Placed]:
    """Return each part with its pictures. Of a still, all that is not of the other parts is."""
    every = list(zip(entry.expected(), parts, strict=True)) * entry.loops
    stills = sum(part.still_s is not None for part, _ in every)
    rest = len(received.pictures) - sum(len(each.pictures) for part, each in every if part.still_s is None)
    found, at = [], 0
    for part, each in every:
        count = len(each.pictures) if part.still_s is None else max(1, rest // stills)
        found.append(Placed(part, each, received.pictures[at : at + count]))
        at += count
    return found


def compare_pictures(entry: Entry, received: Decoded, parts: Sequence[Decoded]) -> list[str]:
    """Return which pictures are missing, damaged, in another order, or at another time."""
    promised = [picture for part in parts for picture in part.pictures] * entry.loops
    got = list(received.pictures)
    videos = len(received.of("video"))
    if not promised:
        return [f"{len(got)} pictures came, and none is promised"] if got else []
    if videos > entry.videos:
        return [f"{videos} video tracks came: {[(t.codec, len(t.samples)) for t in received.of('video')]}"]
    if any(part.still_s is not None for part in entry.expected()):
        if len(got) < len(promised):
            return [f"{len(got)} pictures came"]
    else:
        if entry.loops > 1:
            got = got[: len(promised)]
        if "video" in entry.transcoded:
            if len(got) != len(promised):
                return [f"{len(got)} pictures of {len(promised)}, transcoded"]
        elif [each.checksum for each in got] != [each.checksum for each in promised]:
            return [_difference([each.checksum for each in promised], [each.checksum for each in got])]
    return _times(entry, placed(entry, received, parts))


def _difference(promised: list[str], got: list[str]) -> str:
    matcher = difflib.SequenceMatcher(None, promised, got, autojunk=False)
    missing, extra = [], []
    for tag, first, last, begin, end in matcher.get_opcodes():
        if tag != "equal":
            if last > first:
                missing.append(f"{first}-{last - 1}" if last - first > 1 else f"{first}")
            if end > begin:
                extra.append(f"{begin}-{end - 1}" if end - begin > 1 else f"{begin}")
    return (
        f"{len(got)} pictures of {len(promised)}; not as they were: {', '.join(missing[:8]) or 'none'}"
        f"; instead at: {', '.join(extra[:8]) or 'none'}"
    )


def _times(entry: Entry, found: Sequence[Placed]) -> list[str]:
    """Return which pictures come at another time, and which parts begin late or before the one before has ended."""
    problems: list[str] = []
    end_s: float | None = None
    last_s: float | None = None
    limit_ms = entry.time_ms or (TRANSCODED_MS if "video" in entry.transcoded else COPIED_MS)
    for number, (part, promised, mine) in enumerate(found):
        if not mine:
            continue
        own_s = promised.pictures[0].time_s
        if part.times and part.still_s is None:
            errors = [
                1000 * ((b.time_s - mine[0].time_s) - (a.time_s - own_s))
                for a, b in zip(promised.pictures, mine, strict=True)
            ]
            worst = max(errors, key=abs)
            if abs(worst) > limit_ms:
                problems.append(f"part {number}: picture {errors.index(worst)} is {worst:+.1f} ms from its time")
        lead_in_s = own_s - min([own_s, *(track.begins_s for track in promised.of("audio"))])
        if end_s is not None and last_s is not None:
            gap_s = mine[0].time_s - lead_in_s - end_s
            if gap_s > SEAM_S:
                problems.append(f"part {number} begins {gap_s:+.2f} s after the end of the one before")
            if mine[0].time_s <= last_s:
                problems.append(f"part {number} begins before the last picture of the one before")
        last_s = mine[-1].time_s
        end_s = mine[0].time_s - lead_in_s + length_s(promised, part)
    return problems[:4]


# --- audio ---------------------------------------------------------------------------------------------------


def compare_audio(entry: Entry, received: Decoded, parts: Sequence[Decoded]) -> list[str]:
    """Return which audio tracks are missing, and which frames, by count; with their times beside the pictures."""
    got = received.of("audio")
    count = max(len(part.of("audio")) for part in parts)
    if len(got) != count:
        return [f"{len(got)} audio tracks of {count}: {[(track.codec, len(track.samples)) for track in got]}"]
    problems = []
    found = placed(entry, received, parts)
    for number, track in enumerate(got):
        promised = [part.of("audio")[number] if number < len(part.of("audio")) else None for part in parts]
        compared = _transcoded_audio if "audio" in entry.transcoded else _copied_audio
        problems += compared(entry, number, track, promised * entry.loops, found)
    return problems


PRIMING_FRAMES, PRIMING_MS = 4, 300.0
"""The frames with which an encoder begins, at most four, come when the sound begins: 0.26 s later at 8 kHz."""


def _copied_audio(
    entry: Entry,
    number: int,
    got: Track,
    promised: Sequence[Track | None],
    found: Sequence[Placed],
) -> list[str]:
    wanted = sum(len(track.samples) for track in promised if track)
    if len(got.samples) < wanted or (entry.loops == 1 and len(got.samples) != wanted):
        return [f"audio {number}: {len(got.samples)} frames of {wanted}"]
    problems, at = [], 0
    steps = [(b.time_s - a.time_s, index) for index, (a, b) in enumerate(itertools.pairwise(got.samples))]
    back_s, index = min(steps, default=(0.0, 0))
    if back_s < -OVERLAP_S:
        problems.append(f"audio {number}: its time goes back by {-back_s:.3f} s after frame {index}")
    for place, track in zip(found, promised, strict=True):
        if track is None:
            continue
        mine = got.samples[at : at + len(track.samples)]
        at += len(track.samples)
        if not place.part.times:
            continue
        settled = min(PRIMING_FRAMES, len(mine) - 1)
        base_s, own_s = track.samples[settled].time_s, mine[settled].time_s
        if place.part.offset and place.promised.pictures and place.pictures:
            base_s, own_s = place.promised.pictures[0].time_s, place.pictures[0].time_s
        errors = [1000 * ((b.time_s - own_s) - (a.time_s - base_s)) for a, b in zip(track.samples, mine, strict=True)]
        limit_ms = entry.audio_ms or entry.time_ms or COPIED_MS
        errors = [0 if at < settled and 0 <= error <= PRIMING_MS else error for at, error in enumerate(errors)]
        worst = max(errors, key=abs)
        if abs(worst) > limit_ms:
            problems.append(
                f"audio {number}: frame {errors.index(worst)} of {place.part.file} is {worst:+.1f} ms from its time"
                f" (its first {errors[0]:+.1f} ms)"
            )
    return problems[:3]


def _transcoded_audio(
    entry: Entry,
    number: int,
    got: Track,
    promised: Sequence[Track | None],
    found: Sequence[Placed],
) -> list[str]:
    wanted_s = sum(track.lasts_s for track in promised if track)
    limit_s = SOUND_S * len(promised)
    short_s = wanted_s - got.lasts_s
    problems = []
    if short_s > limit_s or (entry.loops == 1 and short_s < -limit_s):
        problems.append(f"audio {number}, transcoded: {got.lasts_s:.2f} s of {wanted_s:.2f} s")
    first, place = promised[0], found[0]
    if place.promised.pictures and place.pictures and first and place.part.offset and place.part.times:
        ours_s = got.begins_s - place.pictures[0].time_s
        theirs_s = first.begins_s - place.promised.pictures[0].time_s
        if abs(ours_s - theirs_s) > SOUND_S:
            problems.append(f"audio {number} begins {1000 * (ours_s - theirs_s):+.0f} ms from its time")
    return problems


def compare_others(entry: Entry, received: Decoded, parts: Sequence[Decoded]) -> list[str]:
    """Return which packets of subtitles or data are missing that are to be carried."""
    problems = []
    for kind in entry.carried:
        wanted = sum(len(track.samples) for part in parts for track in part.of(kind)) * entry.loops
        got = sum(len(track.samples) for track in received.of(kind))
        if not wanted:
            problems.append(f"the recipe has no {kind}")
        elif got < wanted or (entry.loops == 1 and got != wanted):
            problems.append(f"{kind}: {got} packets of {wanted}")
    return problems


# --- a client that joins late --------------------------------------------------------------------------------


def compare_late(entry: Entry, played: Played, parts: Sequence[Decoded]) -> list[str]:
    """Return why the client that joined late did not see the film's own pictures in time."""
    wanted, late = entry.late, played.late
    assert wanted is not None
    if late is None:
        return ["the late client cannot connect"]
    if wanted.notice is not None:
        said = " ".join(event.get("message", "") + event.get("code", "") for event in late.events)
        found = re.search(wanted.notice, said + played.log, re.IGNORECASE)
        return [] if found else [f"the late client sees no picture for now, and nothing says {wanted.notice!r}"]
    if not late.payloads:
        return ["the late client receives nothing"]
    received = decoded_of(late.data)
    own = {picture.checksum for part in parts for picture in part.pictures}
    right = [index for index, picture in enumerate(received.pictures) if picture.checksum in own]
    if "video" in entry.transcoded:
        right = list(range(len(received.pictures)))
    check = Check(late.data)
    if not right or not check.pcrs:
        return [f"the late client sees none of the film's pictures ({len(received.pictures)} decoded)"]
    first_s = received.pictures[right[0]].time_s
    begun_s = min(pes[0].pts for pes in check.pes.values()) / PTS_HZ
    problems = []
    if first_s - begun_s > wanted.within_s:
        problems.append(f"the late client sees its first right picture after {first_s - begun_s:.1f} s")
    wrong = sum(index not in set(right) for index in range(right[0], len(received.pictures)))
    if wrong > 1:  # the last may be cut off
        problems.append(f"the late client sees {wrong} damaged pictures after its first right one")
    return problems
