//! x
#![allow(clippy::all, clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, clippy::allow_attributes, reason="x")]
#[path = "../tests/lake/kit.rs"]
#[allow(dead_code, unused)]
mod kit;
use kit::*;
use lake::*;
#[tokio::main]
async fn main() {
    let env: std::collections::HashMap<String,String> = std::env::vars().collect();
    let url = std::env::args().nth(1).unwrap();
    let t = std::time::Instant::now();
    let lake = Lake::open(&url, &env, OpenMode::Create).await.unwrap();
    println!("open {:?} id {}", t.elapsed(), lake.id());
    let mut a = Lander::open(&lake, "a", [LANE], NOW).await.unwrap();
    let mut b = Lander::open(&lake, "b", [LANE], NOW).await.unwrap();
    let from = a.positions().get(&key("gw")).map_or(0, |p| p.landed);
    for r in 0..5u64 {
        let (f,to) = (from+r*3, from+r*3+3);
        let l = stage(&lake,"gw",LANE,f,to).await.unwrap();
        let rr = stage(&lake,"gw",LANE,f,to).await.unwrap();
        let t = std::time::Instant::now();
        let (x,y) = tokio::join!(a.land(&l, NOW), b.land(&rr, NOW));
        println!("{:?} {:?} {:?}", x, y, t.elapsed());
        a.recover(NOW).await.unwrap(); b.recover(NOW).await.unwrap();
    }
    println!("{:?}", offsets(&lake, "readings", "gw").await);
    for t in lake.tables().await.unwrap() { println!("{t:?}"); }
    println!("{:?}", lake.files("readings").await.unwrap()[0].address);
}
