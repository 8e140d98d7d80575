//! The board's loop: an engine for as long as one model runs, a test of another in between.

use sanderling_engine::Engine;
use sanderling_plan::Plan;
use sanderling_plan::golden::Part;
use sanderling_slots::nor::Regions;
use sanderling_slots::{Fault, Image, Slot};
use sanderling_updates::{Node, Task};

use crate::flash::{Psram, in_place};
use crate::link::Link;
use crate::{clock, uart};

/// The time between two inferences in which the board does everything else, in milliseconds: a sensor's, were there one.
const PERIOD: u64 = 50;

/// What the loop works with.
struct Serving<'a> {
    node: &'a mut Node<Psram>,
    regions: &'a Regions,
    link: &'a mut Link,
}

/// Never ends.
pub fn forever(node: &mut Node<Psram>, regions: &Regions, link: &mut Link, arena: &mut [u8]) -> ! {
    uart::start();
    let mut serving = Serving {
        node,
        regions,
        link,
    };
    let mut task = Task::Idle;
    loop {
        task = match task {
            Task::Idle => serving.next(),
            Task::Run(slot, image) => serving.run(slot, &image, arena),
            Task::SelfTest(slot, image) => {
                let outcome = serving.test(slot, &image, arena);
                serving.node.tested(&image, outcome, clock::now_ms());
                serving.next()
            }
        };
    }
}

impl Serving<'_> {
    fn next(&mut self) -> Task {
        self.link.exchange(self.node);
        self.node.work(clock::now_ms())
    }

    fn plan(&self, slot: Slot, image: &Image) -> Option<Plan<&'static [u8]>> {
        let region = self.regions.slots.get(slot.index())?;
        Plan::new(in_place(region, image.size)?).ok()
    }

    /// Runs one model until something else is to be done.
    fn run(&mut self, slot: Slot, image: &Image, arena: &mut [u8]) -> Task {
        let engine = self
            .plan(slot, image)
            .and_then(|plan| Engine::new(plan, arena).ok());
        let (Some(mut engine), Some(plan)) = (engine, self.plan(slot, image)) else {
            self.node.unloadable(image, clock::now_ms());
            return self.next();
        };
        loop {
            if let Some(golden) = plan.golden().next() {
                for part in golden.parts(plan.io_tensors()) {
                    if let Part::Input(index, bytes) = part
                        && let Some(input) = engine.input_mut(index)
                    {
                        input.copy_from_slice(bytes);
                    }
                }
            }
            let good = engine.run().is_ok();
            let ended = clock::now_ms();
            self.node.ran(image, good, ended);
            while clock::now_ms() < ended + PERIOD {
                let next = self.next();
                if next != Task::Run(slot, *image) {
                    return next;
                }
            }
        }
    }

    fn test(&mut self, slot: Slot, image: &Image, arena: &mut [u8]) -> Result<(), Fault> {
        let plan = self.plan(slot, image).ok_or(Fault::Unloadable)?;
        let mut engine = Engine::new(plan, arena).map_err(|_| Fault::Unloadable)?;
        engine.self_test().map_err(|_| Fault::SelfTest)
    }
}
