//! A call as a file of trace events, which Perfetto and Chrome's tracing page show: the host's track and the device's.
//!
//! ```json
//! {"traceEvents": [{"name": "Conv \"conv1\"", "cat": "device", "ph": "X", "ts": 12.5, "dur": 3.1, "pid": 1, "tid": 2, "args": {…}}]}
//! ```

use runtime_min::gpu::timeline::StepTime;
use serde_json::{Value, json};

/// The events of a call; times in microseconds.
pub fn trace(model: &str, device: &str, steps: &[StepTime]) -> Value {
    let name = |kind: &str, tid: u64, name: &str| json!({ "name": kind, "ph": "M", "pid": 1, "tid": tid, "args": { "name": name } });
    let mut events =
        vec![name("process_name", 0, model), name("thread_name", 1, "host"), name("thread_name", 2, device)];
    for step in steps {
        let label = step.node.to_string();
        let args =
            json!({ "step": step.step, "nodes": step.node.name, "operators": step.node.op, "kernel": step.kernel });
        for (category, tid, [start, end]) in [("host", 1, step.host), ("device", 2, step.device)] {
            let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6;
            let (ts, dur) = (micros(start), micros(end.saturating_sub(start)));
            events.push(json!({
                "name": label, "cat": category, "ph": "X", "ts": ts, "dur": dur, "pid": 1, "tid": tid, "args": args,
            }));
        }
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": events })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runtime_min::error::Node;

    use super::*;

    #[test]
    fn a_step_is_an_event_of_the_host_and_one_of_the_device() {
        let times = |start, end| [Duration::from_micros(start), Duration::from_micros(end)];
        let node = Node { name: "a+b", op: "Conv+Relu" };
        let step = StepTime { step: 4, node, kernel: "conv", host: times(1, 3), device: times(5, 12) };
        let text = trace("net", "GPU", &[step]).to_string();
        let back: Value = serde_json::from_str(&text).unwrap();
        let events = back["traceEvents"].as_array().unwrap();
        assert_eq!(events.len(), 5);
        assert_eq!((events[3]["ts"].as_f64(), events[3]["dur"].as_f64()), (Some(1.0), Some(2.0)));
        assert_eq!((events[4]["ts"].as_f64(), events[4]["dur"].as_f64()), (Some(5.0), Some(7.0)));
        assert_eq!(events[4]["name"], "Conv+Relu \"a+b\"");
        assert_eq!(events[4]["args"]["kernel"], "conv");
    }
}
