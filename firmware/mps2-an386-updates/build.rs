//! Lays out the image; builds in the root that `SANDERLING_ROOT` names, if any.

fn main() {
    sanderling_image::lay_out_without_plan("mps2-an386");
}
