import pytest

from gpuclust.files.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain näme 名前 🦊.npz", "plain näme 名前 🦊.npz"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("c1 \x9b31m \x7f", "c1 \\x9b31m \\x7f"),
        ("a\nb\tc\rd", "a\\x0ab\\x09c\\x0dd"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("a\u2028b\u2066c\ufeff", "a\\u2028b\\u2066c\\ufeff"),
        ("fotos-\udcfc", "fotos-\\xfc"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_shown_and_other_text_stays(text, shown):
    assert visible(text) == shown
    assert visible(visible(text)) == shown


def test_line_breaks_of_a_message_can_stay():
    assert visible("a\n\tb\r\x1b", lines=True) == "a\n\tb\\x0d\\x1b"
