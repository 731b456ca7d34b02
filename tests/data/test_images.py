import hashlib
import io
import struct
import zlib
from random import Random

import pytest
from PIL import Image, ImageDraw

from mmevolve.data.images import image_digest, open_image, verify_image


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def near(pixel, expected, reach=6):
    return all(abs(a - b) <= reach for a, b in zip(pixel, expected, strict=True))


def header_only_png(width, height):
    """A PNG that claims a size and holds almost nothing."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def test_a_path_and_its_bytes_give_the_same_picture_and_digest(tmp_path):
    data = encoded(Image.new("RGB", (5, 4), (1, 2, 3)))
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert open_image(str(path)).tobytes() == open_image(data).tobytes() == bytes((1, 2, 3)) * 20
    assert image_digest(str(path)) == image_digest(data) == hashlib.sha256(data).hexdigest()


def test_an_opened_image_no_longer_needs_its_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.new("RGB", (5, 4), "red")))
    image = open_image(str(path))
    path.unlink()
    assert image.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_photo_is_turned_upright_by_its_exif_tag(turn):
    upright = Image.new("RGB", (40, 20), "white")
    ImageDraw.Draw(upright).rectangle((0, 0, 9, 9), fill="red")  # top left
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's transpositions that undo each orientation
    stored = upright if turn == 1 else upright.transpose(Image.Transpose(back[turn]))
    exif = Image.Exif()
    exif[0x0112] = turn
    image = open_image(encoded(stored, "JPEG", exif=exif, quality=95))
    assert image.size == (40, 20)
    assert near(image.getpixel((4, 4)), (254, 0, 0), 20)
    assert near(image.getpixel((35, 15)), (255, 255, 255), 20)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_turned_tiff_is_upright_by_its_path_too(mode, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.linear_gradient("L").resize((30, 9)).convert(mode), "TIFF", exif=exif)
    path = tmp_path / "turned.tif"
    path.write_bytes(data)
    assert open_image(data).size == open_image(str(path)).size == (9, 30)
    assert open_image(data).tobytes() == open_image(str(path)).tobytes()


def test_transparent_parts_are_white_and_half_transparent_ones_are_mixed_with_white():
    clear = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    clear.putpixel((1, 0), (0, 0, 255, 255))
    clear.putpixel((2, 0), (0, 0, 0, 128))
    for image in (clear, clear.convert("LA")):
        opened = open_image(encoded(image))
        assert opened.mode == "RGB"
        assert opened.getpixel((0, 0)) == (255, 255, 255)
        assert near(opened.getpixel((2, 0)), (127, 127, 127))
    assert open_image(encoded(clear)).getpixel((1, 0)) == (0, 0, 255)


def test_a_palette_with_a_transparent_entry_is_put_on_white():
    image = Image.new("P", (2, 1), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    opened = open_image(encoded(image, "GIF", transparency=0))
    assert opened.getpixel((0, 0)) == (255, 255, 255)
    assert opened.getpixel((1, 0)) == (0, 255, 0)


def test_grey_black_and_white_and_cmyk_become_rgb():
    assert open_image(encoded(Image.new("L", (2, 2), 99))).getpixel((0, 0)) == (99, 99, 99)
    assert open_image(encoded(Image.new("1", (2, 2), 1))).getpixel((0, 0)) == (255, 255, 255)
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert near(open_image(encoded(cmyk, "JPEG", quality=95)).getpixel((4, 4)), (255, 0, 0), 12)
    assert open_image(encoded(cmyk, "TIFF")).getpixel((4, 4)) == (255, 0, 0)


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    image = Image.new("I;16", (3, 1))
    for x, value in enumerate((0, 32896, 65535)):
        image.putpixel((x, 0), value)
    for kind in ("PNG", "TIFF"):
        opened = open_image(encoded(image, kind))
        assert [opened.getpixel((x, 0)) for x in range(3)] == [(v, v, v) for v in (0, 128, 255)]
    assert open_image(encoded(Image.new("I", (2, 2), 70), "TIFF")).getpixel((0, 0)) == (70, 70, 70)
    assert open_image(encoded(Image.new("F", (2, 2), 0.5), "TIFF")).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_its_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert near(open_image(data).getpixel((4, 4)), (255, 0, 0))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_file_that_is_cut_off_is_refused_and_named(kind, tmp_path):
    noise = Image.frombytes("RGB", (64, 64), Random(0).randbytes(64 * 64 * 3))
    data = encoded(noise, kind)
    path = tmp_path / f"cut.{kind.lower()}"
    verify_image(data)
    path.write_bytes(data[: len(data) // 2])
    for read in (open_image, verify_image):
        with pytest.raises(ValueError, match=r"cut.*broken") as caught:
            read(str(path))
        assert "\n" not in str(caught.value)


def test_bombs_are_refused_before_they_are_decoded():
    with pytest.raises(ValueError, match="8000 x 8000 is 64,000,000 pixels, expected at most 50,000,000"):
        open_image(header_only_png(8000, 8000))
    with pytest.raises(ValueError, match=r"too large|100,000,000 pixels"):
        verify_image(header_only_png(10_000, 10_000))
    with pytest.raises(ValueError, match="too large"):
        open_image(header_only_png(60_000, 60_000))
    with pytest.raises(ValueError, match="4 x 4 is 16 pixels, expected at most 15"):
        open_image(encoded(Image.new("RGB", (4, 4))), max_pixels=15)


def test_what_is_no_image_is_refused_and_named(tmp_path):
    (tmp_path / "notes.png").write_text("not a picture", encoding="utf-8")
    with pytest.raises(ValueError, match=r"notes\.png': not an image that PIL knows"):
        open_image(str(tmp_path / "notes.png"))
    with pytest.raises(ValueError, match="image of 0 bytes"):
        open_image(b"")
    with pytest.raises(ValueError, match="is a folder, expected a file"):
        open_image(str(tmp_path))
    for missing in (str(tmp_path / "none.png"), "a\0b"):
        with pytest.raises(FileNotFoundError, match="no such file"):
            open_image(missing)
    with pytest.raises(FileNotFoundError, match="no such file"):
        image_digest(str(tmp_path / "none.png"))


def test_a_name_with_line_ends_and_escapes_stays_on_one_line(tmp_path):
    path = tmp_path / "new\nline\x1b[31m.png"
    for data, what in ((None, "no such file"), (b"", "not an image")):
        if data is not None:
            path.write_bytes(data)
        with pytest.raises((ValueError, FileNotFoundError), match=rf"new\\nline\\x1b\[31m\.png': {what}") as caught:
            open_image(str(path))
        assert str(caught.value).isprintable()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_damaged_bytes_give_a_picture_or_one_sentence(kind):
    random = Random(1)
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}
    data = encoded(Image.linear_gradient("L").resize((24, 24)).convert("RGB"), kind, **options)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(random.randint(1, 6)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        for read in (open_image, verify_image):
            try:
                read(bytes(damaged))
            except ValueError as error:
                assert str(error).startswith("image of ")
