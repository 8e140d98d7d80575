//! Lays out the image: see `sanderling_image`.

fn main() {
    sanderling_image::lay_out("mps2-an386");
}
