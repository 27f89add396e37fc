//! Inspection reports.

use vocab::TenantId;
use vocab::report::{Report, ReportHead};

use super::db::{Arg, Db, Row, Sql};

type Outcome<T> = Result<T, sqlx::Error>;

pub(super) async fn save(db: &Db, tenant: &TenantId, report: &Report) -> Outcome<i64> {
    let mut tx = db.begin().await?;
    let id = tx.next("report").await?;
    let head = &report.head;
    let values: [Arg; 11] = [
        id.into(),
        tenant.as_str().into(),
        head.title.as_str().into(),
        head.subject.as_str().into(),
        head.language.as_str().into(),
        head.from_ms.into(),
        head.to_ms.into(),
        head.created_at_ms.into(),
        head.summary.as_str().into(),
        report.html.as_str().into(),
        report.markdown.as_str().into(),
    ];
    let sql = Sql::new(
        "INSERT INTO report (id, tenant, title, subject, language, from_ms, to_ms, created_at_ms, summary, html, \
         markdown) VALUES (",
    );
    tx.run(sql.list(values).push(")")).await?;
    tx.commit().await?;
    Ok(id)
}

pub(super) async fn list(db: &Db, tenant: &TenantId, limit: usize) -> Outcome<Vec<ReportHead>> {
    let sql = Sql::new(
        "SELECT id, title, subject, language, from_ms, to_ms, created_at_ms, summary FROM report WHERE tenant = ",
    )
    .bind(tenant.as_str())
    .push(" ORDER BY created_at_ms DESC, id DESC")
    .limit(limit);
    db.rows(sql).await?.iter().map(head).collect()
}

pub(super) async fn get(db: &Db, tenant: &TenantId, id: i64) -> Outcome<Option<Report>> {
    let sql = Sql::new(
        "SELECT id, title, subject, language, from_ms, to_ms, created_at_ms, summary, html, markdown FROM report \
         WHERE tenant = ",
    )
    .bind(tenant.as_str())
    .and("id = ", Some(id));
    let rows = db.rows(sql).await?;
    let report = |row: &Row| Ok(Report { head: head(row)?, html: row.text(8)?, markdown: row.text(9)? });
    rows.first().map(report).transpose()
}

fn head(row: &Row) -> Outcome<ReportHead> {
    Ok(ReportHead {
        id: row.int(0)?,
        title: row.text(1)?,
        subject: row.text(2)?,
        language: row.text(3)?,
        from_ms: row.int(4)?,
        to_ms: row.int(5)?,
        created_at_ms: row.int(6)?,
        summary: row.text(7)?,
    })
}
