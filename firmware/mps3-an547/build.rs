//! Lays out the image: see `sanderling_image`.

fn main() {
    sanderling_image::lay_out("mps3-an547");
}
