//! Carries out a CronJob's plan, stage by stage, through the API.
//!
//! In: the CronJob the plan was made for, the plan. Out: writes, Events after success. Never: another order, a stage after a failed one.

use super::written::Written;
use crate::{
    job::{namespace_terminating, said},
    metrics::Metrics,
    writes::{self, Done, FIELD_MANAGER},
};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use kube::{
    Api, Client, Error,
    api::{PostParams, PropagationPolicy},
};
use piecework_client::{
    owner::object_reference,
    patch::is_already_exists,
    recorder::{EventNote, EventType, Recorder},
};
use piecework_reconcile::{
    cron::{Event, Plan, Stage, Start, child},
    ownership::ObjectRef,
};
use std::{sync::Arc, time::Duration};

pub struct Applier {
    client: Client,
    recorder: Recorder,
    written: Written,
    metrics: Arc<Metrics>,
}

/// One plan on its way.
struct Run<'a> {
    applier: &'a Applier,
    /// With the resourceVersion of the last write.
    cron_job: CronJob,
    cron_jobs: Api<CronJob>,
    jobs: Api<Job>,
}

impl Applier {
    pub fn new(client: Client, recorder: Recorder, written: Written, metrics: Arc<Metrics>) -> Self {
        Applier { client, recorder, written, metrics }
    }

    pub fn tell(&self, cron_job: &CronJob, event: Event) {
        let event_type = if event.warning { EventType::Warning } else { EventType::Normal };
        let (object, reason) = (object_reference(cron_job), event.reason.to_owned());
        self.recorder.publish(EventNote { object, event_type, reason, message: event.message });
    }

    pub async fn apply(&self, cron_job: &CronJob, plan: Plan) -> Result<(), Error> {
        let namespace = cron_job.metadata.namespace.as_deref().unwrap_or_default();
        let mut run = Run {
            applier: self,
            cron_job: cron_job.clone(),
            cron_jobs: Api::namespaced(self.client.clone(), namespace),
            jobs: Api::namespaced(self.client.clone(), namespace),
        };
        plan.events.into_iter().for_each(|event| run.tell(event));
        for stage in plan.stages {
            match stage {
                Stage::WriteStatus { status, events } => {
                    run.write_status(status).await?;
                    events.into_iter().for_each(|event| run.tell(event));
                }
                Stage::DeleteJobs(jobs) => {
                    for job in jobs {
                        run.delete(&job).await?;
                    }
                }
                Stage::Start(start) => run.start(*start).await?,
            }
        }
        Ok(())
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }
}

impl Run<'_> {
    fn tell(&self, event: Event) {
        self.applier.tell(&self.cron_job, event);
    }

    async fn write_status(&mut self, status: CronJobStatus) -> Result<(), Error> {
        let cron_job = CronJob { status: Some(status), ..self.cron_job.clone() };
        let name = self.cron_job.metadata.name.as_deref().unwrap_or_default();
        self.cron_job = self.cron_jobs.replace_status(name, &parameters(), &cron_job).await?;
        self.applier.written.note(&self.cron_job.metadata);
        Ok(())
    }

    async fn delete(&self, job: &ObjectRef) -> Result<(), Error> {
        match writes::delete(&self.jobs, job, PropagationPolicy::Background, None).await {
            Ok(Done::Now) => self.tell(Event::normal("SuccessfulDelete", format!("Deleted job {}", job.name))),
            Ok(Done::WasGone) => {}
            Err(error) => {
                self.tell(Event::warning("FailedDelete", format!("Deleted job: {}", said(&error))));
                return Err(error);
            }
        }
        Ok(())
    }

    async fn start(&mut self, start: Start) -> Result<(), Error> {
        let name = start.job.metadata.name.clone().unwrap_or_default();
        let job = match self.jobs.create(&parameters(), &start.job).await {
            Ok(job) => {
                self.tell(Event::normal("SuccessfulCreate", format!("Created job {name}")));
                if let Some(created) = &job.metadata.creation_timestamp {
                    let late = created.0.duration_since(start.planned);
                    self.applier.metrics.cron_job_started_after(Duration::try_from(late).unwrap_or(Duration::ZERO));
                }
                job
            }
            Err(error) if is_already_exists(&error) => {
                // Made before its status could be written, or somebody else has the name, which then is theirs.
                let found = self.jobs.get(&name).await?;
                if !child::controlled(&self.cron_job, &found) {
                    return Ok(());
                }
                found
            }
            Err(error) if namespace_terminating(&error) => return Ok(()),
            Err(error) => {
                self.tell(Event::warning("FailedCreate", format!("Error creating job: {}", said(&error))));
                return Err(error);
            }
        };
        self.write_status(child::started(&start.status, &job, start.planned)).await
    }
}
