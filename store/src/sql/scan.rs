//! The plan node that reads a table, and shows in EXPLAIN what it leaves out.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
};
use futures::stream::{self, BoxStream};
use vocab::ports::query::SelectExtent;
use vocab::{PortResult, TimestampMs};

use super::error::to_datafusion;

/// Reads the rows of one scan.
pub(super) trait RowSource: Send + Sync + fmt::Debug {
    /// The rows, in batches of the scan's schema.
    fn rows(&self) -> BoxStream<'static, PortResult<RecordBatch>>;
}

/// What a scan reads, in words.
#[derive(Debug, Clone)]
pub(super) struct Described {
    /// The table.
    pub(super) table: &'static str,
    /// First and last time.
    pub(super) range: (Option<TimestampMs>, Option<TimestampMs>),
    /// Conditions on texts.
    pub(super) conditions: Vec<String>,
    /// How much of the table's data is left of it.
    pub(super) extent: Option<SelectExtent>,
}

/// A scan of one of our tables.
#[derive(Debug)]
pub(super) struct ScanExec {
    source: Arc<dyn RowSource>,
    described: Described,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    /// A scan whose batches have `schema`.
    pub(super) fn new(
        schema: SchemaRef,
        source: Arc<dyn RowSource>,
        described: Described,
        limit: Option<usize>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { source, described, limit, properties: Arc::new(properties) }
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanExec: table={}", self.described.table)?;
        let time = |time: Option<TimestampMs>| time.map_or_else(|| "..".to_owned(), |t| t.to_string());
        let (start, end) = self.described.range;
        write!(f, ", time_ms=[{}, {}]", time(start), time(end))?;
        write!(f, ", conditions=[{}]", self.described.conditions.join(", "))?;
        if let Some(extent) = &self.described.extent {
            let parts = [
                ("blocks", extent.blocks),
                ("row_groups", extent.row_groups),
                ("chunks", extent.chunks),
                ("series", extent.series),
            ];
            for (name, portion) in parts {
                write!(f, ", {name}={}/{}", portion.read, portion.of)?;
            }
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        let schema = self.properties.eq_properties.schema();
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, ", columns=[{}]", columns.join(", "))
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { Err(DataFusionError::Internal("a scan has no children".to_owned())) }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = stream::unfold((self.source.rows(), self.limit), |(mut rows, left)| async move {
            use futures::StreamExt;
            if left == Some(0) {
                return None;
            }
            let batch = rows.next().await?;
            let batch = batch.map(|batch| match left {
                Some(left) if left < batch.num_rows() => batch.slice(0, left),
                _ => batch,
            });
            let left = left.map(|left| left - batch.as_ref().map_or(0, RecordBatch::num_rows));
            Some((batch.map_err(to_datafusion), (rows, left)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.properties.eq_properties.schema()), rows)))
    }
}
