"""Disks that fill up, folders that cannot be written to, and permissions that go away."""

import pathlib
import re
import time

import pandas as pd
import pytest

import helios_research as hr
from helios_research.errors import StudyStorageError
from helios_research.submission import engine
from support.faults import Faults, Step

FREE_SPACE = "Free some space, then submit again."
GIVE_RIGHTS = "Make the folder writable again (`chmod u+rwX`), then submit again."
GOES_ON = (
    "; everything recorded so far is kept, and running the same command again continues from there."
)
MORE_SPACE = " Free some space or choose a folder on another disk" + GOES_ON
MORE_RIGHTS = (
    " Choose a folder that you may write to, or have the rights to this one changed" + GOES_ON
)
FULL_LEDGER = "Cannot write to {place}helios.sqlite: the disk is full (SQLITE_FULL)." + MORE_SPACE


@pytest.fixture
def ends_with_its_sentence(cell):
    """Hold that something ends with the cell's sentence."""

    def check(act) -> None:
        with pytest.raises(StudyStorageError) as caught:
            act()
        wanted = re.escape(cell.sees).replace(r"\{place\}", ".*")
        assert re.fullmatch(wanted, str(caught.value)), str(caught.value)

    return check


# --- a full disk -----------------------------------------------------------------------------------


class TestOnASmallDisk:
    @pytest.fixture
    def folder(self, small_disk):
        return small_disk.path / "study"

    @pytest.mark.fault(
        step="ledger write",
        fault="disk full",
        ending="stops",
        happens="Nothing is sent that cannot be written down first.",
        sees="Cannot write to {place}study: no space left on device." + MORE_SPACE,
        do=FREE_SPACE,
    )
    def test_on_a_full_disk_nothing_is_sent(
        self, trial, small_disk, ends_with_its_sentence
    ) -> None:
        small_disk.fill()
        ends_with_its_sentence(trial.submit)
        assert trial.sandbox.log.count() == 0
        small_disk.free()
        trial.heal()

    @pytest.mark.parametrize(
        "step",
        [
            pytest.param(
                step,
                marks=pytest.mark.fault(
                    step=step,
                    fault="disk full",
                    ending="stops",
                    happens=happens,
                    sees=FULL_LEDGER,
                    do=FREE_SPACE,
                ),
            )
            for step, happens in {
                "create": "A run was created that could not be written down. It has no audio, and "
                "so no effect; the next submission creates another.",
                "upload": "That the upload began was written before. The next submission asks the "
                "run whether it arrived.",
                "poll": "The scores could not be written down; the next submission asks again.",
            }.items()
        ],
    )
    def test_what_was_done_when_the_disk_filled_up_is_neither_lost_nor_repeated(
        self, trial, relay, small_disk, ends_with_its_sentence, step
    ) -> None:
        def fill(exchange) -> None:
            answer = exchange.ask_the_service()
            small_disk.fill()
            exchange.send(answer)

        relay.play(step, fill, 1)
        ends_with_its_sentence(trial.submit)
        small_disk.free()
        trial.heal()

    @pytest.mark.fault(
        step="results write",
        fault="disk full",
        ending="stops",
        happens="All scores are in the ledger. The `results.parquet` of before stays as it was.",
        sees="Cannot write to {place}results.parquet: no space left on device." + MORE_SPACE,
        do=FREE_SPACE,
    )
    def test_results_that_do_not_fit_leave_those_of_before(
        self, trial, small_disk, just_before, ends_with_its_sentence
    ) -> None:
        trial.submit(2)
        just_before("open", ".results.parquet", small_disk.fill)
        ends_with_its_sentence(trial.submit)
        assert len(pd.read_parquet(trial.folder / "results.parquet")) == 2
        assert not list(trial.folder.glob("*.part")) + list(trial.folder.glob(".*.part"))
        assert trial.study.results()["outcome"].tolist() == ["scored"] * 3
        small_disk.free()
        trial.heal()

    def test_a_cohort_that_does_not_fit_leaves_the_one_of_before(
        self, trial, small_disk, just_before
    ) -> None:
        trial.submit(2)
        just_before("open", ".cohort.parquet", small_disk.fill)
        with pytest.raises(StudyStorageError, match=r"cohort\.parquet: .*[Nn]o space left"):
            trial.submit()
        small_disk.free()
        assert len(trial.study.cohort) == 2
        trial.heal()

    def test_what_was_learned_of_the_service_waits_until_there_is_space_again(
        self, trial, small_disk, monkeypatch, caplog
    ) -> None:
        monkeypatch.setattr(engine, "_KEEP_EVERY_S", 0.05)
        trial.sandbox.faults = Faults(stuck_first=1)
        submission = trial.start(1)
        while trial.sandbox.log.count(Step.POLL) < 2:
            time.sleep(0.01)
        small_disk.fill()
        words = "What was learned of the service could not be written down"
        while submission.is_running and caplog.text.count(words) < 2:
            time.sleep(0.01)
        assert "the disk is full" in caplog.text
        small_disk.free()
        trial.sandbox.faults = Faults()
        assert submission.wait()["outcome"].tolist() == ["scored"]
        trial.heal(1)


# --- a folder that cannot be written to ----------------------------------------------------------------


@pytest.mark.usefixtures("permissions")
class TestWithoutPermission:
    @pytest.mark.fault(
        step="ledger write",
        fault="read-only folder",
        ending="stops",
        happens="Nothing is sent that cannot be written down first.",
        sees="Cannot write to {place}study: permission denied." + MORE_RIGHTS,
        do=GIVE_RIGHTS,
    )
    def test_nothing_is_sent_from_a_folder_that_is_read_only(
        self, trial, ends_with_its_sentence
    ) -> None:
        trial.folder.chmod(0o500)
        ends_with_its_sentence(trial.submit)
        assert trial.sandbox.log.count() == 0
        trial.folder.chmod(0o700)
        trial.heal()

    @pytest.mark.fault(
        step="results write",
        fault="read-only folder",
        ending="stops",
        happens="The study can be looked at and exported to another place, as from an archive; only "
        "into the folder itself nothing is written.",
        sees="Cannot write to {place}again.parquet: permission denied." + MORE_RIGHTS,
        do="Name another folder.",
    )
    def test_a_study_in_an_archive_can_be_read_and_exported_elsewhere(
        self, trial, tmp_path, ends_with_its_sentence
    ) -> None:
        scored = trial.submit()
        for path in trial.folder.iterdir():
            path.chmod(0o400)
        trial.folder.chmod(0o500)
        archived = hr.Study(trial.folder)
        pd.testing.assert_frame_equal(archived.results(), scored)
        assert len(pd.read_parquet(archived.to_parquet(tmp_path / "elsewhere.parquet"))) == 3
        ends_with_its_sentence(lambda: archived.to_parquet(trial.folder / "again.parquet"))

    @pytest.mark.fault(
        step="ledger write",
        fault="permission lost while running",
        ending="continues",
        happens="The ledger was open already, so everything is written down to the end.",
    )
    @pytest.mark.fault(
        step="results write",
        fault="permission lost while running",
        ending="stops",
        happens="All scores are in the ledger; the file is written by the next submission.",
        sees="Cannot write to {place}results.parquet: permission denied." + MORE_RIGHTS,
        do=GIVE_RIGHTS,
    )
    @pytest.mark.usefixtures("local_volume")
    @pytest.mark.parametrize("step", ["create", "upload", "poll"])
    def test_a_folder_that_becomes_read_only_keeps_all_that_is_done(
        self, trial, relay, step
    ) -> None:
        def forbid(exchange) -> None:
            answer = exchange.ask_the_service()
            trial.folder.chmod(0o500)
            exchange.send(answer)

        relay.play(step, forbid, 1)
        with pytest.raises(StudyStorageError) as caught:
            trial.submit()
        assert str(caught.value) == (
            f"Cannot write to {trial.folder / 'results.parquet'}: permission denied.{MORE_RIGHTS}"
        )
        trial.folder.chmod(0o700)
        assert trial.study.results()["outcome"].tolist() == ["scored"] * 3
        asked = trial.sandbox.log.count(Step.POLL)
        trial.heal()
        assert trial.sandbox.log.count(Step.POLL) == asked

    @pytest.mark.fault(
        step="upload",
        fault="permission lost while running",
        ending="row",
        happens="A recording that can no longer be read is not sent.",
        code="INVALID_RECORDING_CHANGED",
        sees="The recording cannot be read any more, so it was not sent. The recording {place} "
        "cannot be opened with your permissions: ask its owner, or check your credentials.",
        do="Make the recording readable again, then submit again.",
    )
    def test_a_recording_that_cannot_be_read_any_more_is_a_matter_of_its_row(
        self, trial, relay, cell
    ) -> None:
        recording = trial.table["recording"][0]

        def forbid(exchange) -> None:
            answer = exchange.ask_the_service()
            pathlib.Path(recording).chmod(0)
            exchange.send(answer)

        relay.play("create", forbid)
        results = trial.submit()
        assert results["outcome"].tolist() == ["invalid", "scored", "scored"]
        assert results["error_code"][0] == cell.code
        wanted = re.escape(cell.sees).replace(r"\{place\}", ".*")
        assert re.fullmatch(wanted, results["error_reason"][0]), results["error_reason"][0]
        relay.calm()
        pathlib.Path(recording).chmod(0o600)
        trial.heal()
