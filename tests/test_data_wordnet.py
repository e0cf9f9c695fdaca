"""WordNet's lines as pairs of an example and a meaning."""

from collections import Counter

from nas.data.wordnet import pairs

LICENCE = '  1 This "software" is no synset | but so "this bank"\n'


def synset(words: str, gloss: str, kind: str = "n") -> str:
    """A line of a data file, with a pointer as all have."""
    names = words.split()
    listed = " ".join(f"{name} 0" for name in names)
    return f"00001740 03 {kind} {len(names):02x} {listed} 001 @ 00001930 n 0000 | {gloss}  \n"


def texts(content: str) -> list[tuple[str, str | None, str]]:
    return [(made.text, made.pair, made.label) for made in pairs([content])]


BANKS = synset("bank", 'sloping land; "on the bank of the river"') + synset(
    "bank depository", 'a company; "the bank holds the money"; "banks lend"'
)


def test_each_example_meets_its_own_meaning_and_another_one_of_the_word() -> None:
    assert [
        ("bank: on the bank of the river", "sloping land", "same"),
        ("bank: on the bank of the river", "a company", "other"),
        ("bank: the bank holds the money", "a company", "same"),
        ("bank: the bank holds the money", "sloping land", "other"),
        ("bank: banks lend", "a company", "same"),
        ("bank: banks lend", "sloping land", "other"),
    ] == texts(LICENCE + BANKS)


def test_the_word_is_the_group() -> None:
    assert {"bank"} == {made.group for made in pairs([BANKS])}


def test_meanings_without_an_example_of_the_word_are_left_out() -> None:
    idle = synset("bank", "a row") + synset("bank", 'a flight; "the plane turned"')

    assert texts(BANKS) == texts(BANKS + idle)
    assert [] == texts(BANKS.splitlines()[0] + "\n" + idle)


def test_another_part_of_speech_is_another_word() -> None:
    assert [] == texts(
        synset("bank", 'land; "on the bank"') + synset("bank", 'tilt; "bank the plane"', "v")
    )


def test_satellites_are_adjectives_and_their_markers_are_no_letters() -> None:
    found = texts(
        synset("ready_to_go(p)", 'able; "I am ready to go"', "s")
        + synset("Ready_To_Go", 'eager; "Ready to go, aren\'t you"', "a")
    )

    assert 4 == len(found)
    assert {"ready to go: I am ready to go", "ready to go: Ready to go, aren't you"} == {
        text for text, _, _ in found
    }


def test_an_example_of_two_meanings_shows_neither() -> None:
    both = synset("bank", 'land; "the bank"; "my bank"') + synset(
        "bank", 'firm; "The bank"; "A bank"'
    )

    assert {"bank: my bank", "bank: A bank"} == {text for text, _, _ in texts(both)}


def test_a_meaning_whose_examples_all_show_another_one_too_is_no_meaning() -> None:
    clear = synset("bank", 'land; "my bank"')

    assert [] == texts(clear + synset("bank", 'firm; "a bank"') + synset("bank", 'row; "A bank"'))


def test_a_gloss_without_a_definition_is_passed_over() -> None:
    assert texts(BANKS) == texts(BANKS + synset("bank", '"my bank"'))


def test_words_are_counted_in_hexadecimal() -> None:
    many = " ".join(f"word{n}" for n in range(17))

    assert texts(BANKS) == texts(
        BANKS.replace(" 01 bank 0 ", f" 12 {many.replace(' ', ' 0 ')} 0 bank 0 ")
    )


def test_words_are_found_whole_or_with_an_ending() -> None:
    shown = synset("walk", 'to go; "he walks"; "walking"; "sidewalk"; "walker"', "v")
    other = synset("walk", 'to give; "walked the pitcher"', "v")

    assert {"walk: he walks", "walk: walking", "walk: walked the pitcher"} == {
        text for text, _, _ in texts(shown + other)
    }


def test_neither_label_is_more_frequent_and_no_meaning_stands_for_one() -> None:
    made = list(pairs([BANKS]))

    labels = Counter((example.pair, example.label) for example in made)
    assert 3 == sum(example.label == "same" for example in made) == len(made) / 2
    assert {"sloping land", "a company"} == {pair for pair, label in labels if label == "other"}
