//! CUDA graphs of prepared shapes: one for each run of fixed steps, captured from the steps themselves.

use super::super::error::{Error, StepError};
use super::driver::{Address, GraphExecHandle, GraphNodeHandle};
use super::owned::{Graph, GraphExec};
use super::program::{Action, Set};
use super::session::{Call, GpuSession};

/// A shape that has its graphs.
#[derive(Debug)]
pub struct Prepared {
    pub dims: Vec<i64>,
    /// One for each segment.
    pub graphs: Vec<Segment>,
}

/// A segment at a shape.
#[derive(Debug)]
pub enum Segment {
    /// Nothing is left to do.
    Nothing,
    /// Launched at once.
    Graph(SegmentGraph),
    /// Too long for a graph: launched step by step.
    Long,
}

/// A segment that can be launched at once.
#[derive(Debug)]
pub struct SegmentGraph {
    exec: GraphExec,
    /// Steps of the device in the order in which they run.
    nodes: Vec<Recorded>,
    /// What the segment's steps give values to, and the last ones.
    values: Vec<(Set, i64)>,
    /// Where every region was when the nodes were made or last changed.
    addresses: Vec<Address>,
    /// Keeps the nodes' handles valid.
    _graph: Graph,
}

/// What a step of the device became.
#[derive(Clone, Copy, Debug)]
pub enum Recorded {
    Nothing,
    Node(GraphNodeHandle),
    /// A node that the driver did not tell.
    Untold,
}

/// Nodes that get the addresses of a call, in order.
#[derive(Debug)]
pub struct Following {
    exec: GraphExecHandle,
    nodes: Vec<Recorded>,
    /// Where every region was when the nodes were made or last changed.
    addresses: Vec<Address>,
    /// The next node.
    next: usize,
    /// Whether one that is to be changed is not known.
    lost: bool,
}

/// Most steps of one graph; loops beyond it are launched step by step.
const MOST: usize = 10_000;

impl GpuSession {
    /// The prepared shape of this call's sizes.
    pub(super) fn prepared_shape(&self) -> Option<usize> {
        if !self.shared.options.graphs || self.shared.options.profile {
            return None;
        }
        self.prepared.iter().position(|p| p.dims == self.values.dims())
    }

    /// Makes the graphs of the sizes at hand; memory is ready.
    pub(super) fn make_graphs(&mut self) -> Result<(), Error> {
        let count = self.shared.segments.list().len();
        let mut graphs = Vec::with_capacity(count);
        for segment in 0..count {
            graphs.push(self.capture(segment)?);
        }
        self.prepared.push(Prepared { dims: self.values.dims().to_vec(), graphs });
        Ok(())
    }

    fn capture(&mut self, segment: usize) -> Result<Segment, Error> {
        let shared = self.shared.clone();
        let Some(steps) = shared.segments.list().get(segment) else { return Ok(Segment::Nothing) };
        let (context, api, stream) = (&shared.context, shared.context.api, self.stream.handle());
        api.begin_capture(stream)?;
        let mut call = Call { recorded: Some(Vec::new()), ..Call::new(stream) };
        let recorded = self.run_block(&mut call, &shared.program, steps.span);
        let ended = api.end_capture(stream);
        // The first error says more than that the capture is void.
        let graph = match (recorded, ended) {
            (Ok(()), ended) => Graph::own(context, ended?),
            (Err(error), ended) => {
                drop(ended.map(|graph| Graph::own(context, graph)));
                return Err(error);
            }
        };
        let nodes = call.recorded.unwrap_or_default();
        if nodes.len() > MOST {
            return Ok(Segment::Long);
        }
        if nodes.iter().all(|node| matches!(node, Recorded::Nothing)) {
            return Ok(Segment::Nothing);
        }
        let exec = GraphExec::own(context, api.instantiate(graph.handle())?);
        api.upload_graph(exec.handle(), stream)?;
        let values = steps.sets.iter().map(|set| (*set, self.values.slot(set.slot))).collect();
        let addresses = self.memory.addresses().collect();
        Ok(Segment::Graph(SegmentGraph { exec, nodes, values, addresses, _graph: graph }))
    }

    /// A step of the device while a graph is recorded or its nodes are changed.
    pub(super) fn node_of_step(&mut self, call: &mut Call<'_>, k: u32, action: &Action) -> Result<(), StepError> {
        if let Some(mut following) = call.followed.take() {
            let done = self.follow_step(&mut following, k, action);
            call.followed = Some(following);
            return done;
        }
        if call.recorded.as_ref().is_none_or(|nodes| nodes.len() > MOST) {
            return Ok(());
        }
        let issued = self.issue(call, action)?;
        let node = match issued {
            true => self.shared.context.api.last_captured(call.stream)?.map_or(Recorded::Untold, Recorded::Node),
            false => Recorded::Nothing,
        };
        call.recorded.iter_mut().for_each(|nodes| nodes.push(node));
        Ok(())
    }

    fn follow_step(&mut self, following: &mut Following, k: u32, action: &Action) -> Result<(), StepError> {
        let shared = self.shared.clone();
        let node = following.nodes.get(following.next).copied().unwrap_or(Recorded::Nothing);
        following.next += 1;
        let Some(step) = shared.program.steps.get(k as usize) else { return Ok(()) };
        let addresses = &following.addresses;
        let changed = |region| addresses.get(region).copied() != Some(self.memory.address(region));
        if following.lost || !shared.regions.touches(&shared.program, step, changed) {
            return Ok(());
        }
        match node {
            Recorded::Nothing => Ok(()),
            Recorded::Node(node) => self.patch(following.exec, node, action),
            Recorded::Untold => {
                following.lost = true;
                Ok(())
            }
        }
    }

    /// Launches a segment's graph, its nodes changed where addresses have; false if it has none and its steps are to be run.
    pub(super) fn launch_segment(&mut self, call: &mut Call<'_>, shape: usize, segment: usize) -> Result<bool, Error> {
        let Some(place) = self.prepared.get_mut(shape).and_then(|p| p.graphs.get_mut(segment)) else {
            return Ok(false);
        };
        let graph = match std::mem::replace(place, Segment::Nothing) {
            Segment::Graph(graph) => graph,
            Segment::Nothing => return Ok(true),
            Segment::Long => {
                *place = Segment::Long;
                return Ok(false);
            }
        };
        let mut graph = graph;
        let done = self.launch_graph(call, &mut graph, segment);
        if let Some(place) = self.prepared.get_mut(shape).and_then(|p| p.graphs.get_mut(segment)) {
            *place = Segment::Graph(graph);
        }
        done.map(|()| true)
    }

    fn launch_graph(&mut self, call: &mut Call<'_>, graph: &mut SegmentGraph, segment: usize) -> Result<(), Error> {
        if !self.memory.addresses().eq(graph.addresses.iter().copied()) {
            self.follow(graph, segment)?;
        }
        let shared = self.shared.clone();
        for (set, value) in &graph.values {
            self.values.set(set.slot, *value);
        }
        for (set, _) in &graph.values {
            self.values.compute(&shared.program, set.then.start, set.then.end);
        }
        shared.context.api.launch_graph(graph.exec.handle(), call.stream)?;
        call.after_launch = false;
        Ok(())
    }

    /// Changes the nodes that hold addresses which are others now; where a node is not known, captures anew.
    fn follow(&mut self, graph: &mut SegmentGraph, segment: usize) -> Result<(), Error> {
        let shared = self.shared.clone();
        let Some(steps) = shared.segments.list().get(segment) else { return Ok(()) };
        let (nodes, addresses) = (std::mem::take(&mut graph.nodes), std::mem::take(&mut graph.addresses));
        let following = Following { exec: graph.exec.handle(), nodes, addresses, next: 0, lost: false };
        let mut call = Call { followed: Some(following), ..Call::new(self.stream.handle()) };
        let walked = self.run_block(&mut call, &shared.program, steps.span);
        let Some(followed) = call.followed else { return walked };
        (graph.nodes, graph.addresses) = (followed.nodes, followed.addresses);
        walked?;
        if followed.lost {
            if let Segment::Graph(new) = self.capture(segment)? {
                *graph = new;
            }
            return Ok(());
        }
        for (slot, address) in graph.addresses.iter_mut().zip(self.memory.addresses()) {
            *slot = address;
        }
        Ok(())
    }
}
