"""A cohort says what it holds, at a prompt and in a notebook."""


def test_the_repr_counts_recordings_participants_and_problems(cohort_of):
    cohort = cohort_of(
        {"arm": "a"}, {"arm": "b"}, {"user_label": "p01", "birth_sex": "1"}, tags="arm"
    )
    assert repr(cohort) == (
        "<Cohort from the DataFrame (recordings: 3, participants: 2, tags: arm, can be sent: 2, "
        "cannot be sent: 1, warnings: 1)>"
    )


def test_the_html_is_a_small_table_that_points_to_the_issues(cohort_of):
    html = cohort_of({"birth_sex": "1"})._repr_html_()
    assert '<th scope="row">cannot be sent</th><td>1</td>' in html
    assert html.endswith("<p>What to correct is in <code>.issues</code>.</p>")
    assert ".issues" not in cohort_of({})._repr_html_()


def test_nothing_of_the_table_is_markup(cohort_of):
    html = cohort_of({"<script>": "x"}, tags=["<script>"])._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
