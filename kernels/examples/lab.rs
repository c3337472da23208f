use kernels::finish::{Finish, Stored};
use kernels::fragment::Input;
use kernels::launch::{Role, TileKernel};
use kernels::product::{Product, Side};
use kernels::{gemm, simt, split};
use ptx::{Module, Sm};

fn role(r: &Role) -> String {
    format!("{r:?}")
}

fn write(dir: &str, sm: Sm, k: TileKernel, jobs: &mut Vec<String>, extra: &str, second: Option<TileKernel>) {
    let mut all = vec![(k, "")];
    if let Some(s) = second {
        all.push((s, ""));
    }
    let mut launches = Vec::new();
    for (k, _) in all {
        let name = k.entry.name.clone();
        let block = k.entry.block.unwrap();
        let m = Module::new(sm, vec![k.entry]);
        if let Err(p) = ptx::verify(&m) {
            println!("{name}: {:?}", &p[..p.len().min(3)]);
        }
        std::fs::write(format!("{dir}/{name}.ptx"), ptx::print(&m)).unwrap();
        let args: Vec<String> = k.roles.iter().map(|r| format!("\"{}:{}\"", role(r), r.bytes())).collect();
        launches.push(format!("{{\"file\":\"{name}.ptx\",\"entry\":\"{name}\",\"tile\":[{},{}],\"group\":{},\"splits\":{},\"block\":[{},{},{}],\"shared\":{},\"args\":[{}]}}",
            k.grid.tile_rows, k.grid.tile_columns, k.grid.group, k.grid.splits, block[0], block[1], block[2], k.shared, args.join(",")));
    }
    jobs.push(format!("{{{extra},\"launches\":[{}]}}", launches.join(",")));
}

fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let sm = Sm::named(&std::env::args().nth(2).unwrap()).unwrap();
    let sizes: Vec<[u32; 3]> = vec![
        [4096, 4096, 4096],
        [8192, 8192, 8192],
        [1024, 1024, 1024],
        [128, 768, 768],
        [128, 3072, 768],
        [128, 768, 3072],
        [8192, 768, 768],
        [8192, 3072, 768],
        [1, 4096, 4096],
        [16, 4096, 4096],
    ];
    let mut jobs = Vec::new();
    for [m, n, k] in sizes {
        for input in [Input::F16, Input::Bf16, Input::Tf32] {
            if input == Input::Bf16 && m != 4096 {
                continue;
            }
            for v in gemm::VARIANTS {
                if m <= 128 && (v.rows > 128 || v.columns > 128) {
                    continue;
                }
                if m >= 1024 && v.rows < 64 {
                    continue;
                }
                if m < 32 && v.rows > 32 {
                    continue;
                }
                let tiles = m.div_ceil(v.rows) * n.div_ceil(v.columns);
                for splits in [1u32, 4] {
                    if splits > 1 && tiles >= 132 {
                        continue;
                    }
                    let v = gemm::GemmVariant { splits, group: m.div_ceil(v.rows).min(8), ..*v };
                    let side = |w| Side { crossed: false, chunk: 16, weights: w };
                    let two = input.bytes() == 2;
                    let dtype = match input {
                        Input::F16 => Stored::F16,
                        Input::Bf16 => Stored::Bf16,
                        _ => Stored::F32,
                    };
                    let p = Product {
                        input,
                        columns: Some(n),
                        depth: Some(k),
                        batch_dims: 0,
                        a: side(false),
                        b: side(true),
                        finish: Finish { dtype, vector: if two { 8 } else { 4 } },
                    };
                    let Ok(mut kern) = gemm::emit(&p, &v, sm) else {
                        println!("{} refused", v.name());
                        continue;
                    };
                    kern.entry.name = format!("{}_n{n}_k{k}_g{}", kern.entry.name, v.group);
                    let second = (splits > 1).then(|| {
                        let mut s = split::emit(&p, splits, sm);
                        s.entry.name = format!("{}_{}_n{n}_k{k}", s.entry.name, input.name());
                        s
                    });
                    write(
                        &dir,
                        sm,
                        kern,
                        &mut jobs,
                        &format!(
                            "\"name\":\"{}\",\"dtype\":\"{}\",\"m\":{m},\"n\":{n},\"k\":{k},\"b\":\"nk\"",
                            v.name(),
                            input.name()
                        ),
                        second,
                    );
                }
            }
        }
        for v in simt::VARIANTS {
            if m < 32 || (m <= 128 && v.rows > 64) || (m > 4096) {
                continue;
            }
            let tiles = m.div_ceil(v.rows) * n.div_ceil(v.columns);
            for crossed in [true, false] {
                for splits in [1u32, 4] {
                    if splits > 1 && tiles >= 132 {
                        continue;
                    }
                    let v = simt::SimtVariant { splits, group: m.div_ceil(v.rows).min(8), ..*v };
                    let p = Product {
                        input: Input::F32,
                        columns: Some(n),
                        depth: Some(k),
                        batch_dims: 0,
                        a: Side { crossed: false, chunk: 16, weights: false },
                        b: Side { crossed, chunk: 16, weights: true },
                        finish: Finish { dtype: Stored::F32, vector: 4 },
                    };
                    let mut kern = simt::emit(&p, &v, sm).unwrap();
                    let b = if crossed { "kn" } else { "nk" };
                    kern.entry.name = format!("{}_{b}_n{n}_k{k}_g{}", kern.entry.name, v.group);
                    let second = (splits > 1).then(|| {
                        let mut s = split::emit(&p, splits, sm);
                        s.entry.name = format!("{}_f32_n{n}_k{k}", s.entry.name);
                        s
                    });
                    write(
                        &dir,
                        sm,
                        kern,
                        &mut jobs,
                        &format!(
                            "\"name\":\"{}\",\"dtype\":\"f32\",\"m\":{m},\"n\":{n},\"k\":{k},\"b\":\"{b}\"",
                            v.name()
                        ),
                        second,
                    );
                }
            }
        }
    }
    std::fs::write(format!("{dir}/jobs.json"), format!("[\n{}\n]\n", jobs.join(",\n"))).unwrap();
    println!("{} jobs", jobs.len());
}
