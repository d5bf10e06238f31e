//! The tree as a whole: growing it, seeing it, ending it.

use std::{fmt, sync::Arc, time::Duration};

use actix::ArbiterHandle;
use serde::Serialize;
use tokio::sync::{oneshot, watch};

use super::{
    Address, Behaviour, Clock, Phase, Reason, Spec, StartError, Strategy,
    cell::{Above, Cell, Control},
    shell,
    supervisor::{Supervisor, SupervisorMessage},
};

/// How a tree ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to, and everything stopped in order.
    Stopped,
    /// The root's budget was spent.
    GaveUp(Reason),
}

/// A whole tree. It starts with [`Tree::start`], after its fixed branches were grown.
pub struct Tree {
    root: Branch,
    exit: watch::Receiver<Option<Exit>>,
}

/// A supervisor's place in the tree: where children are added. Cheap to clone.
///
/// Children added before the supervisor starts wait for it and start in the order of adding; a child added to
/// a running [`Strategy::Dynamic`] supervisor starts at once.
#[derive(Clone)]
pub struct Branch {
    cell: Arc<Cell>,
    supervisor: Address<SupervisorMessage>,
}

impl Tree {
    /// A tree whose root is called `name`, one for one. A branch below it that spends its own budget ends the
    /// tree.
    pub fn new(name: &str, clock: Clock, arbiter: &ArbiterHandle) -> Self {
        let (sender, exit) = watch::channel(None);
        let root = Branch::grow(Spec::new(name, arbiter), Strategy::OneForOne, None, clock);
        root.cell.announce_to(sender);
        Self { root, exit }
    }

    /// The root, to add branches to.
    pub fn root(&self) -> &Branch {
        &self.root
    }

    /// Starts everything that was added, in order.
    pub fn start(&self) {
        self.root.cell.run();
    }

    /// Waits until the root's children are all up, or the tree ended.
    pub async fn started(&self) -> Result<(), Exit> {
        let mut poll = tokio::time::interval(Duration::from_millis(1));
        loop {
            if let Some(exit) = self.exit.borrow().clone() {
                return Err(exit);
            }
            if self.root.up() {
                return Ok(());
            }
            poll.tick().await;
        }
    }

    /// Stops everything in reverse order, and waits for the end.
    pub async fn stop(&self) -> Exit {
        self.root.cell.stop();
        self.exited().await
    }

    /// Waits for the end.
    pub async fn exited(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        ended.unwrap_or_else(|| Exit::GaveUp(Reason("the tree was dropped".into())))
    }

    /// The live tree. Actors that have not answered after `patience` are shown without their own
    /// words.
    pub async fn snapshot(&self, patience: Duration) -> Node {
        self.root.snapshot(patience).await
    }

    pub(super) fn cell(&self) -> &Arc<Cell> {
        &self.root.cell
    }
}

impl Branch {
    fn grow(spec: Spec, strategy: Strategy, above: Option<Above>, clock: Clock) -> Self {
        let slot: Arc<std::sync::OnceLock<Arc<Cell>>> = Arc::default();
        let own = slot.clone();
        let (cell, supervisor) =
            shell::spawn(spec.capacity(usize::MAX), Some(strategy), above, clock, move || {
                // Filled below, before the order to run that precedes every start.
                let cell = own.get().ok_or("its place in the tree is not known yet")?;
                Ok(Supervisor::new(cell.clone()))
            });
        let _ = slot.set(cell.clone());
        Self { cell, supervisor }
    }

    /// Adds a supervisor below this one.
    pub fn branch(&self, spec: Spec, strategy: Strategy) -> Branch {
        let branch = Self::grow(spec, strategy, Some(self.above()), self.cell.clock().clone());
        self.adopt(branch.cell.clone());
        branch
    }

    /// Adds an actor below this supervisor. `start` builds its behaviour, on its own thread, at every start
    /// and restart.
    pub fn child<B: Behaviour>(
        &self,
        spec: Spec,
        start: impl Fn() -> Result<B, StartError> + Send + 'static,
    ) -> Address<B::Message> {
        let (cell, address) = shell::spawn(spec, None, Some(self.above()), self.cell.clock().clone(), start);
        self.adopt(cell);
        address
    }

    /// The tree's clock.
    pub fn clock(&self) -> &Clock {
        self.cell.clock()
    }

    /// The root of its tree.
    pub fn root(&self) -> Branch {
        match (self.cell.parent(), self.cell.supervisor()) {
            (Some(cell), Some(supervisor)) => {
                Branch { cell: cell.clone(), supervisor: supervisor.clone() }.root()
            }
            _ => self.clone(),
        }
    }

    /// The supervisor's path.
    pub fn path(&self) -> &str {
        self.cell.path()
    }

    /// How many children it has.
    pub fn children(&self) -> usize {
        self.cell.children().len()
    }

    fn above(&self) -> Above {
        Above { cell: self.cell.clone(), supervisor: self.supervisor.clone() }
    }

    fn adopt(&self, child: Arc<Cell>) {
        self.cell.adopt(child.clone());
        if self.cell.strategy() == Some(Strategy::Dynamic) && self.cell.phase() == Phase::Running {
            child.run();
        }
    }

    fn up(&self) -> bool {
        fn up(cell: &Cell) -> bool {
            cell.phase() == Phase::Running && cell.children().iter().all(|child| up(child))
        }
        up(&self.cell)
    }

    /// The live tree below this supervisor.
    pub async fn snapshot(&self, patience: Duration) -> Node {
        Asked::ask(self.cell.clone()).seen(tokio::time::Instant::now() + patience).await
    }

    #[cfg(feature = "chaos")]
    pub(super) fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }
}

/// One actor of the live tree.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// Its path, `castmq/store/commit-log`.
    pub path: String,
    /// Its kind of behaviour.
    pub kind: &'static str,
    /// What it is doing.
    pub phase: Phase,
    /// How often it was restarted after a failure of its own.
    pub restarts: u32,
    /// How often it was made to start anew, by a failure of its own or of one that takes it along.
    pub epoch: u64,
    /// Whom its children take along when they fail, if it is a supervisor.
    pub strategy: Option<Strategy>,
    /// How long its last failure kept it from serving, microseconds.
    pub last_outage_us: Option<u64>,
    /// Why it last failed.
    pub last_reason: Option<Reason>,
    /// Messages in its mailbox.
    pub mailbox: usize,
    /// What it says of itself; empty when it did not answer.
    pub says: String,
    /// Its children, in the order of start.
    pub children: Vec<Node>,
}

impl Node {
    /// The node with this path, here or below.
    pub fn find(&self, path: &str) -> Option<&Node> {
        if self.path == path {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(path))
    }

    /// Whether this node and all below run.
    pub fn is_whole(&self) -> bool {
        self.phase == Phase::Running && self.children.iter().all(Node::is_whole)
    }
}

/// Drawn as a tree, a line each.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        self.draw(f, "")
    }
}

impl Node {
    /// The rest of its own line, and the lines of all below, which begin with `indent`.
    fn draw(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        write!(f, " {:?}", self.phase)?;
        if self.restarts > 0 {
            write!(f, ", restarts {}", self.restarts)?;
        }
        if self.mailbox > 0 {
            write!(f, ", mailbox {}", self.mailbox)?;
        }
        if !self.says.is_empty() {
            write!(f, ": {}", self.says)?;
        }
        if let Some(reason) = &self.last_reason {
            write!(f, " (last: {reason})")?;
        }
        writeln!(f)?;
        for (number, child) in self.children.iter().enumerate() {
            let is_last = number + 1 == self.children.len();
            let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            write!(f, "{indent}{branch}{}", child.path.rsplit('/').next().unwrap_or_default())?;
            child.draw(f, &format!("{indent}{below}"))?;
        }
        Ok(())
    }
}

/// An actor that was asked what it sees of itself.
struct Asked {
    cell: Arc<Cell>,
    answer: oneshot::Receiver<String>,
    children: Vec<Asked>,
}

impl Asked {
    /// Asks it and all below, so that one silent actor costs no more time than many.
    fn ask(cell: Arc<Cell>) -> Self {
        let (ask, answer) = oneshot::channel();
        cell.control(Control::Observe(ask));
        let children = cell.children().into_iter().map(Self::ask).collect();
        Self { cell, answer, children }
    }

    fn seen(self, until: tokio::time::Instant) -> std::pin::Pin<Box<dyn Future<Output = Node> + Send>> {
        Box::pin(async move {
            let Self { cell, answer, children: asked } = self;
            let says = match tokio::time::timeout_at(until, answer).await {
                Ok(Ok(says)) => says,
                _ => String::new(),
            };
            let mut children = Vec::new();
            for child in asked {
                children.push(child.seen(until).await);
            }
            Node {
                path: cell.path().to_owned(),
                kind: cell.kind(),
                phase: cell.phase(),
                restarts: cell.restarts(),
                epoch: cell.epoch(),
                strategy: cell.strategy(),
                last_outage_us: cell.last_outage().map(|outage| outage.as_micros() as u64),
                last_reason: cell.last_reason(),
                mailbox: cell.depth(),
                says,
                children,
            }
        })
    }
}

impl fmt::Debug for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Branch").field(&self.path()).finish()
    }
}
