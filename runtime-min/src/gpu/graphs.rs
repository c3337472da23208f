//! CUDA graphs of prepared shapes: one for each run of fixed steps, captured from the steps themselves.

use super::super::error::Error;
use super::driver::{Address, GraphNodeHandle};
use super::owned::{Graph, GraphExec};
use super::program::Span;
use super::session::{Call, GpuSession};

/// A shape that has its graphs.
#[derive(Debug)]
pub struct Prepared {
    pub dims: Vec<i64>,
    /// One for each segment; `None` where nothing is left to do at this shape.
    pub graphs: Vec<Option<SegmentGraph>>,
}

/// A segment that can be launched at once.
#[derive(Debug)]
pub struct SegmentGraph {
    pub exec: GraphExec,
    /// Step and node; `None` where the driver did not tell.
    pub nodes: Vec<(u32, Option<GraphNodeHandle>)>,
    segment: Span,
    /// Where every region was when the nodes were made or last changed.
    addresses: Vec<Address>,
    /// Keeps the nodes' handles valid.
    _graph: Graph,
}

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
        let shared = self.shared.clone();
        let mut graphs = Vec::with_capacity(shared.regions.segments().len());
        for segment in shared.regions.segments() {
            graphs.push(self.capture(*segment)?);
        }
        self.prepared.push(Prepared { dims: self.values.dims().to_vec(), graphs });
        Ok(())
    }

    fn capture(&mut self, segment: Span) -> Result<Option<SegmentGraph>, Error> {
        let context = self.shared.context.clone();
        let (api, stream) = (context.api, self.stream.handle());
        api.begin_capture(stream)?;
        let mut nodes = Vec::new();
        let recorded = self.record(segment, &mut nodes);
        let ended = api.end_capture(stream);
        // The first error says more than that the capture is void.
        let graph = match (recorded, ended) {
            (Ok(()), ended) => Graph::own(&context, ended?),
            (Err(error), ended) => {
                drop(ended.map(|graph| Graph::own(&context, graph)));
                return Err(error);
            }
        };
        if nodes.is_empty() {
            return Ok(None);
        }
        let exec = GraphExec::own(&context, api.instantiate(graph.handle())?);
        api.upload_graph(exec.handle(), stream)?;
        let addresses = self.memory.addresses().collect();
        Ok(Some(SegmentGraph { exec, nodes, segment, addresses, _graph: graph }))
    }

    fn record(&mut self, segment: Span, nodes: &mut Vec<(u32, Option<GraphNodeHandle>)>) -> Result<(), Error> {
        let shared = self.shared.clone();
        let stream = self.stream.handle();
        let mut call = Call::new(stream);
        for k in segment.start..segment.end {
            let Some(step) = shared.program.steps.get(k as usize) else { break };
            let issued = self.issue(&mut call, &step.action).map_err(|error| self.at(k, error))?;
            if !issued {
                continue;
            }
            nodes.push((k, shared.context.api.last_captured(stream)?));
        }
        Ok(())
    }

    /// Launches a segment's graph, its nodes changed where addresses have.
    pub(super) fn launch_segment(&mut self, call: &mut Call<'_>, shape: usize, segment: usize) -> Result<(), Error> {
        let place = |session: &mut GpuSession, graph: Option<SegmentGraph>| {
            let graphs = session.prepared.get_mut(shape).map(|p| &mut p.graphs);
            if let Some(slot) = graphs.and_then(|g| g.get_mut(segment)) {
                *slot = graph;
            }
        };
        let Some(mut graph) = self.prepared.get_mut(shape).and_then(|p| p.graphs.get_mut(segment)?.take()) else {
            return Ok(());
        };
        let done = self.launch_graph(call, &mut graph);
        place(self, Some(graph));
        done
    }

    fn launch_graph(&mut self, call: &mut Call<'_>, graph: &mut SegmentGraph) -> Result<(), Error> {
        if !self.memory.addresses().eq(graph.addresses.iter().copied()) {
            self.follow(graph)?;
        }
        self.shared.context.api.launch_graph(graph.exec.handle(), call.stream)?;
        call.after_launch = false;
        Ok(())
    }

    /// Changes the nodes that hold addresses which are others now; where a node is not known, captures anew.
    fn follow(&mut self, graph: &mut SegmentGraph) -> Result<(), Error> {
        let shared = self.shared.clone();
        for index in 0..graph.nodes.len() {
            let Some((k, node)) = graph.nodes.get(index).copied() else { break };
            let Some(step) = shared.program.steps.get(k as usize) else { break };
            let changed = |region| graph.addresses.get(region).copied() != Some(self.memory.address(region));
            if !shared.regions.touches(&shared.program, step, changed) {
                continue;
            }
            match node {
                Some(node) => self.patch(graph, node, &step.action).map_err(|error| self.at(k, error))?,
                None => {
                    if let Some(new) = self.capture(graph.segment)? {
                        *graph = new;
                    }
                    return Ok(());
                }
            }
        }
        for (slot, address) in graph.addresses.iter_mut().zip(self.memory.addresses()) {
            *slot = address;
        }
        Ok(())
    }
}
