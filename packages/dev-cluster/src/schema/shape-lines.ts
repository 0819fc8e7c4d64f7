/**
 * Every type of the API that this cluster serves, one a line: `Type field:number:type…`.
 *
 * `s` string, `i` integer, `n` number, `b` boolean, `y` base64 bytes, `q` quantity, `t` time, `T` time with
 * microseconds, `x` integer or string, `j` any JSON, else a type of this list; `[]` a list of, `{}` a map of strings to.
 * Then `?` a pointer in Go, `!` required, `~key` merged by that key (`~` alone: a merged set), `^` retainKeys,
 * `#keys` the keys of server-side apply, `(A,B)` the values allowed. `*` is a struct embedded in Go.
 * Source: the OpenAPI v3 document and the generated.proto files of Kubernetes 1.35.
 */
export const shapeLines = `
AWSElasticBlockStoreVolumeSource fsType:2:s partition:3:i readOnly:4:b volumeID:1:s!
Affinity nodeAffinity:1:NodeAffinity? podAffinity:2:PodAffinity? podAntiAffinity:3:PodAntiAffinity?
AggregationRule clusterRoleSelectors:1:[]LabelSelector
AppArmorProfile localhostProfile:2:s? type:1:s!(Localhost,RuntimeDefault,Unconfined)
AttachedVolume devicePath:2:s! name:1:s!
AzureDiskVolumeSource cachingMode:3:s?(None,ReadOnly,ReadWrite) diskName:1:s! diskURI:2:s! fsType:4:s? kind:6:s?(Dedicated,Managed,Shared) readOnly:5:b?
AzureFilePersistentVolumeSource readOnly:3:b secretName:1:s! secretNamespace:4:s? shareName:2:s!
AzureFileVolumeSource readOnly:3:b secretName:1:s! shareName:2:s!
Binding apiVersion::s kind::s metadata:1:ObjectMeta target:2:ObjectReference!
BoundObjectReference apiVersion:2:s kind:1:s name:3:s uid:4:s
CSIPersistentVolumeSource controllerExpandSecretRef:9:SecretReference? controllerPublishSecretRef:6:SecretReference? driver:1:s! fsType:4:s nodeExpandSecretRef:10:SecretReference? nodePublishSecretRef:8:SecretReference? nodeStageSecretRef:7:SecretReference? readOnly:3:b volumeAttributes:5:{}s volumeHandle:2:s!
CSIVolumeSource driver:1:s! fsType:3:s? nodePublishSecretRef:5:LocalObjectReference? readOnly:2:b? volumeAttributes:4:{}s
Capabilities add:1:[]s drop:2:[]s
CephFSPersistentVolumeSource monitors:1:[]s! path:2:s readOnly:6:b secretFile:4:s secretRef:5:SecretReference? user:3:s
CephFSVolumeSource monitors:1:[]s! path:2:s readOnly:6:b secretFile:4:s secretRef:5:LocalObjectReference? user:3:s
CertificateSigningRequest apiVersion::s kind::s metadata:1:ObjectMeta spec:2:CertificateSigningRequestSpec! status:3:CertificateSigningRequestStatus
CertificateSigningRequestCondition lastTransitionTime:5:t lastUpdateTime:4:t message:3:s reason:2:s status:6:s! type:1:s!
CertificateSigningRequestSpec expirationSeconds:8:i? extra:6:j groups:4:[]s request:1:y! signerName:7:s! uid:3:s usages:5:[]s(any,cert sign,client auth,code signing,content commitment,crl sign,data encipherment,decipher only,digital signature,email protection,encipher only,ipsec end system,ipsec tunnel,ipsec user,key agreement,key encipherment,microsoft sgc,netscape sgc,ocsp signing,s/mime,server auth,signing,timestamping) username:2:s
CertificateSigningRequestStatus certificate:2:y conditions:1:[]CertificateSigningRequestCondition#type
CinderPersistentVolumeSource fsType:2:s readOnly:3:b secretRef:4:SecretReference? volumeID:1:s!
CinderVolumeSource fsType:2:s readOnly:3:b secretRef:4:LocalObjectReference? volumeID:1:s!
ClientIPConfig timeoutSeconds:1:i?
ClusterRole aggregationRule:3:AggregationRule? apiVersion::s kind::s metadata:1:ObjectMeta rules:2:[]PolicyRule
ClusterRoleBinding apiVersion::s kind::s metadata:1:ObjectMeta roleRef:3:RoleRef! subjects:2:[]Subject
ClusterTrustBundleProjection labelSelector:3:LabelSelector? name:1:s? optional:5:b? path:4:s! signerName:2:s?
Condition lastTransitionTime:4:t! message:6:s! observedGeneration:3:i reason:5:s! status:2:s! type:1:s!
ConfigMap apiVersion::s binaryData:3:{}y data:2:{}s immutable:4:b? kind::s metadata:1:ObjectMeta
ConfigMapEnvSource name::s optional:2:b? *:1:LocalObjectReference
ConfigMapKeySelector key:2:s! name::s optional:3:b? *:1:LocalObjectReference
ConfigMapNodeConfigSource kubeletConfigKey:5:s! name:2:s! namespace:1:s! resourceVersion:4:s uid:3:s
ConfigMapProjection items:2:[]KeyToPath name::s optional:4:b? *:1:LocalObjectReference
ConfigMapVolumeSource defaultMode:3:i? items:2:[]KeyToPath name::s optional:4:b? *:1:LocalObjectReference
Container args:4:[]s command:3:[]s env:7:[]EnvVar~name envFrom:19:[]EnvFromSource image:2:s imagePullPolicy:14:s(Always,IfNotPresent,Never) lifecycle:12:Lifecycle? livenessProbe:10:Probe? name:1:s! ports:6:[]ContainerPort~containerPort#containerPort,protocol readinessProbe:11:Probe? resizePolicy:23:[]ContainerResizePolicy resources:8:ResourceRequirements restartPolicy:24:s? restartPolicyRules:25:[]ContainerRestartRule securityContext:15:SecurityContext? startupProbe:22:Probe? stdin:16:b stdinOnce:17:b terminationMessagePath:13:s terminationMessagePolicy:20:s(FallbackToLogsOnError,File) tty:18:b volumeDevices:21:[]VolumeDevice~devicePath volumeMounts:9:[]VolumeMount~mountPath workingDir:5:s
ContainerExtendedResourceRequest containerName:1:s! requestName:3:s! resourceName:2:s!
ContainerImage names:1:[]s sizeBytes:2:i
ContainerPort containerPort:3:i! hostIP:5:s hostPort:2:i name:1:s protocol:4:s(SCTP,TCP,UDP)
ContainerResizePolicy resourceName:1:s! restartPolicy:2:s!
ContainerRestartRule action:1:s! exitCodes:2:ContainerRestartRuleOnExitCodes?
ContainerRestartRuleOnExitCodes operator:1:s! values:2:[]i#
ContainerState running:2:ContainerStateRunning? terminated:3:ContainerStateTerminated? waiting:1:ContainerStateWaiting?
ContainerStateRunning startedAt:1:t
ContainerStateTerminated containerID:7:s exitCode:1:i! finishedAt:6:t message:4:s reason:3:s signal:2:i startedAt:5:t
ContainerStateWaiting message:2:s reason:1:s
ContainerStatus allocatedResources:10:{}q allocatedResourcesStatus:14:[]ResourceStatus~name containerID:8:s image:6:s! imageID:7:s! lastState:3:ContainerState name:1:s! ready:4:b! resources:11:ResourceRequirements? restartCount:5:i! started:9:b? state:2:ContainerState stopSignal:15:s?(SIGABRT,SIGALRM,SIGBUS,SIGCHLD,SIGCLD,SIGCONT,SIGFPE,SIGHUP,SIGILL,SIGINT,SIGIO,SIGIOT,SIGKILL,SIGPIPE,SIGPOLL,SIGPROF,SIGPWR,SIGQUIT,SIGRTMAX,SIGRTMAX-1,SIGRTMAX-10,SIGRTMAX-11,SIGRTMAX-12,SIGRTMAX-13,SIGRTMAX-14,SIGRTMAX-2,SIGRTMAX-3,SIGRTMAX-4,SIGRTMAX-5,SIGRTMAX-6,SIGRTMAX-7,SIGRTMAX-8,SIGRTMAX-9,SIGRTMIN,SIGRTMIN+1,SIGRTMIN+10,SIGRTMIN+11,SIGRTMIN+12,SIGRTMIN+13,SIGRTMIN+14,SIGRTMIN+15,SIGRTMIN+2,SIGRTMIN+3,SIGRTMIN+4,SIGRTMIN+5,SIGRTMIN+6,SIGRTMIN+7,SIGRTMIN+8,SIGRTMIN+9,SIGSEGV,SIGSTKFLT,SIGSTOP,SIGSYS,SIGTERM,SIGTRAP,SIGTSTP,SIGTTIN,SIGTTOU,SIGURG,SIGUSR1,SIGUSR2,SIGVTALRM,SIGWINCH,SIGXCPU,SIGXFSZ) user:13:ContainerUser? volumeMounts:12:[]VolumeMountStatus~mountPath
ContainerUser linux:1:LinuxContainerUser?
DaemonEndpoint Port:1:i!
DaemonSet apiVersion::s kind::s metadata:1:ObjectMeta spec:2:DaemonSetSpec status:3:DaemonSetStatus
DaemonSetCondition lastTransitionTime:3:t message:5:s reason:4:s status:2:s! type:1:s!
DaemonSetSpec minReadySeconds:4:i revisionHistoryLimit:6:i? selector:1:LabelSelector?! template:2:PodTemplateSpec! updateStrategy:3:DaemonSetUpdateStrategy
DaemonSetStatus collisionCount:9:i? conditions:10:[]DaemonSetCondition~type currentNumberScheduled:1:i! desiredNumberScheduled:3:i! numberAvailable:7:i numberMisscheduled:2:i! numberReady:4:i! numberUnavailable:8:i observedGeneration:5:i updatedNumberScheduled:6:i
DaemonSetUpdateStrategy rollingUpdate:2:RollingUpdateDaemonSet? type:1:s(OnDelete,RollingUpdate)
DeleteOptions apiVersion::s dryRun:5:[]s gracePeriodSeconds:1:i? ignoreStoreReadErrorWithClusterBreakingPotential:6:b? kind::s orphanDependents:3:b? preconditions:2:Preconditions? propagationPolicy:4:s?
Deployment apiVersion::s kind::s metadata:1:ObjectMeta spec:2:DeploymentSpec status:3:DeploymentStatus
DeploymentCondition lastTransitionTime:7:t lastUpdateTime:6:t message:5:s reason:4:s status:2:s! type:1:s!
DeploymentSpec minReadySeconds:5:i paused:7:b progressDeadlineSeconds:9:i? replicas:1:i? revisionHistoryLimit:6:i? selector:2:LabelSelector?! strategy:4:DeploymentStrategy^ template:3:PodTemplateSpec!
DeploymentStatus availableReplicas:4:i collisionCount:8:i? conditions:6:[]DeploymentCondition~type observedGeneration:1:i readyReplicas:7:i replicas:2:i terminatingReplicas:9:i? unavailableReplicas:5:i updatedReplicas:3:i
DeploymentStrategy rollingUpdate:2:RollingUpdateDeployment? type:1:s(Recreate,RollingUpdate)
DownwardAPIProjection items:1:[]DownwardAPIVolumeFile
DownwardAPIVolumeFile fieldRef:2:ObjectFieldSelector? mode:4:i? path:1:s! resourceFieldRef:3:ResourceFieldSelector?
DownwardAPIVolumeSource defaultMode:2:i? items:1:[]DownwardAPIVolumeFile
EmptyDirVolumeSource medium:1:s sizeLimit:2:q?
EndpointAddress hostname:3:s ip:1:s! nodeName:4:s? targetRef:2:ObjectReference?
EndpointPort appProtocol:4:s? name:1:s port:2:i! protocol:3:s(SCTP,TCP,UDP)
EndpointSubset addresses:1:[]EndpointAddress notReadyAddresses:2:[]EndpointAddress ports:3:[]EndpointPort
Endpoints apiVersion::s kind::s metadata:1:ObjectMeta subsets:2:[]EndpointSubset
EnvFromSource configMapRef:2:ConfigMapEnvSource? prefix:1:s secretRef:3:SecretEnvSource?
EnvVar name:1:s! value:2:s valueFrom:3:EnvVarSource?
EnvVarSource configMapKeyRef:3:ConfigMapKeySelector? fieldRef:1:ObjectFieldSelector? fileKeyRef:5:FileKeySelector? resourceFieldRef:2:ResourceFieldSelector? secretKeyRef:4:SecretKeySelector?
EphemeralContainer args::[]s command::[]s env::[]EnvVar~name envFrom::[]EnvFromSource image::s imagePullPolicy::s(Always,IfNotPresent,Never) lifecycle::Lifecycle livenessProbe::Probe name::s! ports::[]ContainerPort~containerPort#containerPort,protocol readinessProbe::Probe resizePolicy::[]ContainerResizePolicy resources::ResourceRequirements restartPolicy::s restartPolicyRules::[]ContainerRestartRule securityContext::SecurityContext startupProbe::Probe stdin::b stdinOnce::b targetContainerName:2:s terminationMessagePath::s terminationMessagePolicy::s(FallbackToLogsOnError,File) tty::b volumeDevices::[]VolumeDevice~devicePath volumeMounts::[]VolumeMount~mountPath workingDir::s *:1:EphemeralContainerCommon
EphemeralContainerCommon name:1:s image:2:s command:3:[]s args:4:[]s workingDir:5:s ports:6:[]ContainerPort envFrom:19:[]EnvFromSource env:7:[]EnvVar resources:8:ResourceRequirements resizePolicy:23:[]ContainerResizePolicy restartPolicy:24:s? restartPolicyRules:25:[]ContainerRestartRule volumeMounts:9:[]VolumeMount volumeDevices:21:[]VolumeDevice livenessProbe:10:Probe? readinessProbe:11:Probe? startupProbe:22:Probe? lifecycle:12:Lifecycle? terminationMessagePath:13:s terminationMessagePolicy:20:s imagePullPolicy:14:s securityContext:15:SecurityContext? stdin:16:b stdinOnce:17:b tty:18:b
EphemeralVolumeSource volumeClaimTemplate:1:PersistentVolumeClaimTemplate?
Event action:12:s apiVersion::s count:8:i eventTime:10:T firstTimestamp:6:t involvedObject:2:ObjectReference! kind::s lastTimestamp:7:t message:4:s metadata:1:ObjectMeta! reason:3:s related:13:ObjectReference? reportingComponent:14:s reportingInstance:15:s series:11:EventSeries? source:5:EventSource type:9:s
EventSeries count:1:i lastObservedTime:2:T
EventSource component:1:s host:2:s
Eviction apiVersion::s deleteOptions:2:DeleteOptions? kind::s metadata:1:ObjectMeta
ExecAction command:1:[]s
FCVolumeSource fsType:3:s lun:2:i? readOnly:4:b targetWWNs:1:[]s wwids:5:[]s
FieldSelectorAttributes rawSelector:1:s requirements:2:[]FieldSelectorRequirement
FieldSelectorRequirement key:1:s! operator:2:s! values:3:[]s
FileKeySelector key:3:s! optional:4:b? path:2:s! volumeName:1:s!
FlexPersistentVolumeSource driver:1:s! fsType:2:s options:5:{}s readOnly:4:b secretRef:3:SecretReference?
FlexVolumeSource driver:1:s! fsType:2:s options:5:{}s readOnly:4:b secretRef:3:LocalObjectReference?
FlockerVolumeSource datasetName:1:s datasetUUID:2:s
GCEPersistentDiskVolumeSource fsType:2:s partition:3:i pdName:1:s! readOnly:4:b
GRPCAction port:1:i! service:2:s?
GitRepoVolumeSource directory:3:s repository:1:s! revision:2:s
GlusterfsPersistentVolumeSource endpoints:1:s! endpointsNamespace:4:s? path:2:s! readOnly:3:b
GlusterfsVolumeSource endpoints:1:s! path:2:s! readOnly:3:b
HTTPGetAction host:3:s httpHeaders:5:[]HTTPHeader path:1:s port:2:x! scheme:4:s(HTTP,HTTPS)
HTTPHeader name:1:s! value:2:s!
HostAlias hostnames:2:[]s ip:1:s!
HostIP ip:1:s!
HostPathVolumeSource path:1:s! type:2:s?(,BlockDevice,CharDevice,Directory,DirectoryOrCreate,File,FileOrCreate,Socket)
ISCSIPersistentVolumeSource chapAuthDiscovery:8:b chapAuthSession:11:b fsType:5:s initiatorName:12:s? iqn:2:s! iscsiInterface:4:s lun:3:i! portals:7:[]s readOnly:6:b secretRef:10:SecretReference? targetPortal:1:s!
ISCSIVolumeSource chapAuthDiscovery:8:b chapAuthSession:11:b fsType:5:s initiatorName:12:s? iqn:2:s! iscsiInterface:4:s lun:3:i! portals:7:[]s readOnly:6:b secretRef:10:LocalObjectReference? targetPortal:1:s!
ImageVolumeSource pullPolicy:2:s(Always,IfNotPresent,Never) reference:1:s
Job apiVersion::s kind::s metadata:1:ObjectMeta spec:2:JobSpec status:3:JobStatus
JobCondition lastProbeTime:3:t lastTransitionTime:4:t message:6:s reason:5:s status:2:s! type:1:s!
JobSpec activeDeadlineSeconds:3:i? backoffLimit:7:i? backoffLimitPerIndex:12:i? completionMode:9:s?(Indexed,NonIndexed) completions:2:i? managedBy:15:s? manualSelector:5:b? maxFailedIndexes:13:i? parallelism:1:i? podFailurePolicy:11:PodFailurePolicy? podReplacementPolicy:14:s?(Failed,TerminatingOrFailed) selector:4:LabelSelector? successPolicy:16:SuccessPolicy? suspend:10:b? template:6:PodTemplateSpec! ttlSecondsAfterFinished:8:i?
JobStatus active:4:i completedIndexes:7:s completionTime:3:t? conditions:1:[]JobCondition~type failed:6:i failedIndexes:10:s? ready:9:i? startTime:2:t? succeeded:5:i terminating:11:i? uncountedTerminatedPods:8:UncountedTerminatedPods?
KeyToPath key:1:s! mode:3:i? path:2:s!
LabelSelector matchExpressions:2:[]LabelSelectorRequirement matchLabels:1:{}s
LabelSelectorAttributes rawSelector:1:s requirements:2:[]LabelSelectorRequirement
LabelSelectorRequirement key:1:s! operator:2:s! values:3:[]s
Lease apiVersion::s kind::s metadata:1:ObjectMeta spec:2:LeaseSpec
LeaseSpec acquireTime:3:T? holderIdentity:1:s? leaseDurationSeconds:2:i? leaseTransitions:5:i? preferredHolder:7:s? renewTime:4:T? strategy:6:s?
Lifecycle postStart:1:LifecycleHandler? preStop:2:LifecycleHandler? stopSignal:3:s?(SIGABRT,SIGALRM,SIGBUS,SIGCHLD,SIGCLD,SIGCONT,SIGFPE,SIGHUP,SIGILL,SIGINT,SIGIO,SIGIOT,SIGKILL,SIGPIPE,SIGPOLL,SIGPROF,SIGPWR,SIGQUIT,SIGRTMAX,SIGRTMAX-1,SIGRTMAX-10,SIGRTMAX-11,SIGRTMAX-12,SIGRTMAX-13,SIGRTMAX-14,SIGRTMAX-2,SIGRTMAX-3,SIGRTMAX-4,SIGRTMAX-5,SIGRTMAX-6,SIGRTMAX-7,SIGRTMAX-8,SIGRTMAX-9,SIGRTMIN,SIGRTMIN+1,SIGRTMIN+10,SIGRTMIN+11,SIGRTMIN+12,SIGRTMIN+13,SIGRTMIN+14,SIGRTMIN+15,SIGRTMIN+2,SIGRTMIN+3,SIGRTMIN+4,SIGRTMIN+5,SIGRTMIN+6,SIGRTMIN+7,SIGRTMIN+8,SIGRTMIN+9,SIGSEGV,SIGSTKFLT,SIGSTOP,SIGSYS,SIGTERM,SIGTRAP,SIGTSTP,SIGTTIN,SIGTTOU,SIGURG,SIGUSR1,SIGUSR2,SIGVTALRM,SIGWINCH,SIGXCPU,SIGXFSZ)
LifecycleHandler exec:1:ExecAction? httpGet:2:HTTPGetAction? sleep:4:SleepAction? tcpSocket:3:TCPSocketAction?
LinuxContainerUser gid:2:i! supplementalGroups:3:[]i uid:1:i!
LoadBalancerIngress hostname:2:s ip:1:s ipMode:3:s? ports:4:[]PortStatus
LoadBalancerStatus ingress:1:[]LoadBalancerIngress
LocalObjectReference name:1:s
LocalSubjectAccessReview apiVersion::s kind::s metadata:1:ObjectMeta spec:2:SubjectAccessReviewSpec! status:3:SubjectAccessReviewStatus
LocalVolumeSource fsType:2:s? path:1:s!
ManagedFieldsEntry apiVersion:3:s fieldsType:6:s fieldsV1:7:j? manager:1:s operation:2:s subresource:8:s time:4:t?
ModifyVolumeStatus status:2:s!(InProgress,Infeasible,Pending) targetVolumeAttributesClassName:1:s
NFSVolumeSource path:2:s! readOnly:3:b server:1:s!
Namespace apiVersion::s kind::s metadata:1:ObjectMeta spec:2:NamespaceSpec status:3:NamespaceStatus
NamespaceCondition lastTransitionTime:4:t message:6:s reason:5:s status:2:s! type:1:s!
NamespaceSpec finalizers:1:[]s
NamespaceStatus conditions:2:[]NamespaceCondition~type phase:1:s(Active,Terminating)
Node apiVersion::s kind::s metadata:1:ObjectMeta spec:2:NodeSpec status:3:NodeStatus
NodeAddress address:2:s! type:1:s!
NodeAffinity preferredDuringSchedulingIgnoredDuringExecution:2:[]PreferredSchedulingTerm requiredDuringSchedulingIgnoredDuringExecution:1:NodeSelector?
NodeCondition lastHeartbeatTime:3:t lastTransitionTime:4:t message:6:s reason:5:s status:2:s! type:1:s!
NodeConfigSource configMap:2:ConfigMapNodeConfigSource?
NodeConfigStatus active:2:NodeConfigSource? assigned:1:NodeConfigSource? error:4:s lastKnownGood:3:NodeConfigSource?
NodeDaemonEndpoints kubeletEndpoint:1:DaemonEndpoint
NodeFeatures supplementalGroupsPolicy:1:b?
NodeRuntimeHandler features:2:NodeRuntimeHandlerFeatures? name:1:s
NodeRuntimeHandlerFeatures recursiveReadOnlyMounts:1:b? userNamespaces:2:b?
NodeSelector nodeSelectorTerms:1:[]NodeSelectorTerm!
NodeSelectorRequirement key:1:s! operator:2:s!(DoesNotExist,Exists,Gt,In,Lt,NotIn) values:3:[]s
NodeSelectorTerm matchExpressions:1:[]NodeSelectorRequirement matchFields:2:[]NodeSelectorRequirement
NodeSpec configSource:6:NodeConfigSource? externalID:2:s podCIDR:1:s podCIDRs:7:[]s~ providerID:3:s taints:5:[]Taint unschedulable:4:b
NodeStatus addresses:5:[]NodeAddress~type allocatable:2:{}q capacity:1:{}q conditions:4:[]NodeCondition~type config:11:NodeConfigStatus? daemonEndpoints:6:NodeDaemonEndpoints declaredFeatures:14:[]s features:13:NodeFeatures? images:8:[]ContainerImage nodeInfo:7:NodeSystemInfo phase:3:s(Pending,Running,Terminated) runtimeHandlers:12:[]NodeRuntimeHandler volumesAttached:10:[]AttachedVolume volumesInUse:9:[]s
NodeSwapStatus capacity:1:i?
NodeSystemInfo architecture:10:s! bootID:3:s! containerRuntimeVersion:6:s! kernelVersion:4:s! kubeProxyVersion:8:s! kubeletVersion:7:s! machineID:1:s! operatingSystem:9:s! osImage:5:s! swap:11:NodeSwapStatus? systemUUID:2:s!
NonResourceAttributes path:1:s verb:2:s
NonResourceRule nonResourceURLs:2:[]s verbs:1:[]s!
ObjectFieldSelector apiVersion:1:s fieldPath:2:s!
ObjectMeta annotations:12:{}s creationTimestamp:8:t deletionGracePeriodSeconds:10:i? deletionTimestamp:9:t? finalizers:14:[]s~ generateName:2:s generation:7:i labels:11:{}s managedFields:17:[]ManagedFieldsEntry name:1:s namespace:3:s ownerReferences:13:[]OwnerReference~uid resourceVersion:6:s selfLink:4:s uid:5:s
ObjectReference apiVersion:5:s fieldPath:7:s kind:1:s name:3:s namespace:2:s resourceVersion:6:s uid:4:s
OwnerReference apiVersion:5:s! blockOwnerDeletion:7:b? controller:6:b? kind:1:s! name:3:s! uid:4:s!
PersistentVolume apiVersion::s kind::s metadata:1:ObjectMeta spec:2:PersistentVolumeSpec status:3:PersistentVolumeStatus
PersistentVolumeClaim apiVersion::s kind::s metadata:1:ObjectMeta spec:2:PersistentVolumeClaimSpec status:3:PersistentVolumeClaimStatus
PersistentVolumeClaimCondition lastProbeTime:3:t lastTransitionTime:4:t message:6:s reason:5:s status:2:s! type:1:s!
PersistentVolumeClaimSpec accessModes:1:[]s(ReadOnlyMany,ReadWriteMany,ReadWriteOnce,ReadWriteOncePod) dataSource:7:TypedLocalObjectReference? dataSourceRef:8:TypedObjectReference? resources:2:VolumeResourceRequirements selector:4:LabelSelector? storageClassName:5:s? volumeAttributesClassName:9:s? volumeMode:6:s?(Block,Filesystem) volumeName:3:s
PersistentVolumeClaimStatus accessModes:2:[]s(ReadOnlyMany,ReadWriteMany,ReadWriteOnce,ReadWriteOncePod) allocatedResourceStatuses:7:{}s allocatedResources:5:{}q capacity:3:{}q conditions:4:[]PersistentVolumeClaimCondition~type currentVolumeAttributesClassName:8:s? modifyVolumeStatus:9:ModifyVolumeStatus? phase:1:s(Bound,Lost,Pending)
PersistentVolumeClaimTemplate metadata:1:ObjectMeta spec:2:PersistentVolumeClaimSpec!
PersistentVolumeClaimVolumeSource claimName:1:s! readOnly:2:b
PersistentVolumeSource gcePersistentDisk:1:GCEPersistentDiskVolumeSource? awsElasticBlockStore:2:AWSElasticBlockStoreVolumeSource? hostPath:3:HostPathVolumeSource? glusterfs:4:GlusterfsPersistentVolumeSource? nfs:5:NFSVolumeSource? rbd:6:RBDPersistentVolumeSource? iscsi:7:ISCSIPersistentVolumeSource? cinder:8:CinderPersistentVolumeSource? cephfs:9:CephFSPersistentVolumeSource? fc:10:FCVolumeSource? flocker:11:FlockerVolumeSource? flexVolume:12:FlexPersistentVolumeSource? azureFile:13:AzureFilePersistentVolumeSource? vsphereVolume:14:VsphereVirtualDiskVolumeSource? quobyte:15:QuobyteVolumeSource? azureDisk:16:AzureDiskVolumeSource? photonPersistentDisk:17:PhotonPersistentDiskVolumeSource? portworxVolume:18:PortworxVolumeSource? scaleIO:19:ScaleIOPersistentVolumeSource? local:20:LocalVolumeSource? storageos:21:StorageOSPersistentVolumeSource? csi:22:CSIPersistentVolumeSource?
PersistentVolumeSpec accessModes:3:[]s(ReadOnlyMany,ReadWriteMany,ReadWriteOnce,ReadWriteOncePod) awsElasticBlockStore::AWSElasticBlockStoreVolumeSource azureDisk::AzureDiskVolumeSource azureFile::AzureFilePersistentVolumeSource capacity:1:{}q cephfs::CephFSPersistentVolumeSource cinder::CinderPersistentVolumeSource claimRef:4:ObjectReference? csi::CSIPersistentVolumeSource fc::FCVolumeSource flexVolume::FlexPersistentVolumeSource flocker::FlockerVolumeSource gcePersistentDisk::GCEPersistentDiskVolumeSource glusterfs::GlusterfsPersistentVolumeSource hostPath::HostPathVolumeSource iscsi::ISCSIPersistentVolumeSource local::LocalVolumeSource mountOptions:7:[]s nfs::NFSVolumeSource nodeAffinity:9:VolumeNodeAffinity? persistentVolumeReclaimPolicy:5:s(Delete,Recycle,Retain) photonPersistentDisk::PhotonPersistentDiskVolumeSource portworxVolume::PortworxVolumeSource quobyte::QuobyteVolumeSource rbd::RBDPersistentVolumeSource scaleIO::ScaleIOPersistentVolumeSource storageClassName:6:s storageos::StorageOSPersistentVolumeSource volumeAttributesClassName:10:s? volumeMode:8:s?(Block,Filesystem) vsphereVolume::VsphereVirtualDiskVolumeSource *:2:PersistentVolumeSource
PersistentVolumeStatus lastPhaseTransitionTime:4:t? message:2:s phase:1:s(Available,Bound,Failed,Pending,Released) reason:3:s
PhotonPersistentDiskVolumeSource fsType:2:s pdID:1:s!
Pod apiVersion::s kind::s metadata:1:ObjectMeta spec:2:PodSpec status:3:PodStatus
PodAffinity preferredDuringSchedulingIgnoredDuringExecution:2:[]WeightedPodAffinityTerm requiredDuringSchedulingIgnoredDuringExecution:1:[]PodAffinityTerm
PodAffinityTerm labelSelector:1:LabelSelector? matchLabelKeys:5:[]s mismatchLabelKeys:6:[]s namespaceSelector:4:LabelSelector? namespaces:2:[]s topologyKey:3:s!
PodAntiAffinity preferredDuringSchedulingIgnoredDuringExecution:2:[]WeightedPodAffinityTerm requiredDuringSchedulingIgnoredDuringExecution:1:[]PodAffinityTerm
PodCertificateProjection certificateChainPath:6:s credentialBundlePath:4:s keyPath:5:s keyType:2:s! maxExpirationSeconds:3:i? signerName:1:s! userAnnotations:7:{}s
PodCondition lastProbeTime:3:t lastTransitionTime:4:t message:6:s observedGeneration:7:i reason:5:s status:2:s! type:1:s!
PodDNSConfig nameservers:1:[]s options:3:[]PodDNSConfigOption searches:2:[]s
PodDNSConfigOption name:1:s value:2:s?
PodExtendedResourceClaimStatus requestMappings:1:[]ContainerExtendedResourceRequest! resourceClaimName:2:s!
PodFailurePolicy rules:1:[]PodFailurePolicyRule!
PodFailurePolicyOnExitCodesRequirement containerName:1:s? operator:2:s!(In,NotIn) values:3:[]i!#
PodFailurePolicyOnPodConditionsPattern status:2:s type:1:s!
PodFailurePolicyRule action:1:s!(Count,FailIndex,FailJob,Ignore) onExitCodes:2:PodFailurePolicyOnExitCodesRequirement? onPodConditions:3:[]PodFailurePolicyOnPodConditionsPattern
PodIP ip:1:s!
PodOS name:1:s!
PodReadinessGate conditionType:1:s!
PodResourceClaim name:1:s! resourceClaimName:3:s? resourceClaimTemplateName:4:s?
PodResourceClaimStatus name:1:s! resourceClaimName:2:s?
PodSchedulingGate name:1:s!
PodSecurityContext appArmorProfile:11:AppArmorProfile? fsGroup:5:i? fsGroupChangePolicy:9:s?(Always,OnRootMismatch) runAsGroup:6:i? runAsNonRoot:3:b? runAsUser:2:i? seLinuxChangePolicy:13:s? seLinuxOptions:1:SELinuxOptions? seccompProfile:10:SeccompProfile? supplementalGroups:4:[]i supplementalGroupsPolicy:12:s?(Merge,Strict) sysctls:7:[]Sysctl windowsOptions:8:WindowsSecurityContextOptions?
PodSpec activeDeadlineSeconds:5:i? affinity:18:Affinity? automountServiceAccountToken:21:b? containers:2:[]Container!~name dnsConfig:26:PodDNSConfig? dnsPolicy:6:s(ClusterFirst,ClusterFirstWithHostNet,Default,None) enableServiceLinks:30:b? ephemeralContainers:34:[]EphemeralContainer~name hostAliases:23:[]HostAlias~ip hostIPC:13:b hostNetwork:11:b hostPID:12:b hostUsers:37:b? hostname:16:s hostnameOverride:41:s? imagePullSecrets:15:[]LocalObjectReference~name initContainers:20:[]Container~name nodeName:10:s nodeSelector:7:{}s os:36:PodOS? overhead:32:{}q preemptionPolicy:31:s?(Never,PreemptLowerPriority) priority:25:i? priorityClassName:24:s readinessGates:28:[]PodReadinessGate resourceClaims:39:[]PodResourceClaim~name^ resources:40:ResourceRequirements? restartPolicy:3:s(Always,Never,OnFailure) runtimeClassName:29:s? schedulerName:19:s schedulingGates:38:[]PodSchedulingGate~name securityContext:14:PodSecurityContext? serviceAccount:9:s serviceAccountName:8:s setHostnameAsFQDN:35:b? shareProcessNamespace:27:b? subdomain:17:s terminationGracePeriodSeconds:4:i? tolerations:22:[]Toleration topologySpreadConstraints:33:[]TopologySpreadConstraint~topologyKey#topologyKey,whenUnsatisfiable volumes:1:[]Volume~name^ workloadRef:42:WorkloadReference?
PodStatus allocatedResources:19:{}q conditions:2:[]PodCondition~type containerStatuses:8:[]ContainerStatus ephemeralContainerStatuses:13:[]ContainerStatus extendedResourceClaimStatus:18:PodExtendedResourceClaimStatus? hostIP:5:s hostIPs:16:[]HostIP~ip initContainerStatuses:10:[]ContainerStatus message:3:s nominatedNodeName:11:s observedGeneration:17:i phase:1:s(Failed,Pending,Running,Succeeded,Unknown) podIP:6:s podIPs:12:[]PodIP~ip qosClass:9:s(BestEffort,Burstable,Guaranteed) reason:4:s resize:14:s resourceClaimStatuses:15:[]PodResourceClaimStatus~name^ resources:20:ResourceRequirements? startTime:7:t?
PodTemplateSpec metadata:1:ObjectMeta spec:2:PodSpec
PolicyRule apiGroups:2:[]s nonResourceURLs:5:[]s resourceNames:4:[]s resources:3:[]s verbs:1:[]s!
PortStatus error:3:s? port:1:i! protocol:2:s!(SCTP,TCP,UDP)
PortworxVolumeSource fsType:2:s readOnly:3:b volumeID:1:s!
Preconditions resourceVersion:2:s? uid:1:s?
PreferredSchedulingTerm preference:2:NodeSelectorTerm! weight:1:i!
PriorityClass apiVersion::s description:4:s globalDefault:3:b kind::s metadata:1:ObjectMeta preemptionPolicy:5:s?(Never,PreemptLowerPriority) value:2:i!
Probe exec::ExecAction failureThreshold:6:i grpc::GRPCAction httpGet::HTTPGetAction initialDelaySeconds:2:i periodSeconds:4:i successThreshold:5:i tcpSocket::TCPSocketAction terminationGracePeriodSeconds:7:i? timeoutSeconds:3:i *:1:ProbeHandler
ProbeHandler exec:1:ExecAction? httpGet:2:HTTPGetAction? tcpSocket:3:TCPSocketAction? grpc:4:GRPCAction?
ProjectedVolumeSource defaultMode:2:i? sources:1:[]VolumeProjection
QuobyteVolumeSource group:5:s readOnly:3:b registry:1:s! tenant:6:s user:4:s volume:2:s!
RBDPersistentVolumeSource fsType:3:s image:2:s! keyring:6:s monitors:1:[]s! pool:4:s readOnly:8:b secretRef:7:SecretReference? user:5:s
RBDVolumeSource fsType:3:s image:2:s! keyring:6:s monitors:1:[]s! pool:4:s readOnly:8:b secretRef:7:LocalObjectReference? user:5:s
ReplicaSet apiVersion::s kind::s metadata:1:ObjectMeta spec:2:ReplicaSetSpec status:3:ReplicaSetStatus
ReplicaSetCondition lastTransitionTime:3:t message:5:s reason:4:s status:2:s! type:1:s!
ReplicaSetSpec minReadySeconds:4:i replicas:1:i? selector:2:LabelSelector?! template:3:PodTemplateSpec
ReplicaSetStatus availableReplicas:5:i conditions:6:[]ReplicaSetCondition~type fullyLabeledReplicas:2:i observedGeneration:3:i readyReplicas:4:i replicas:1:i! terminatingReplicas:7:i?
ResourceAttributes fieldSelector:8:FieldSelectorAttributes? group:3:s labelSelector:9:LabelSelectorAttributes? name:7:s namespace:1:s resource:5:s subresource:6:s verb:2:s version:4:s
ResourceClaim name:1:s! request:2:s
ResourceFieldSelector containerName:1:s divisor:3:q resource:2:s!
ResourceHealth health:2:s resourceID:1:s!
ResourceRequirements claims:3:[]ResourceClaim#name limits:1:{}q requests:2:{}q
ResourceRule apiGroups:2:[]s resourceNames:4:[]s resources:3:[]s verbs:1:[]s!
ResourceStatus name:1:s! resources:2:[]ResourceHealth#resourceID
Role apiVersion::s kind::s metadata:1:ObjectMeta rules:2:[]PolicyRule
RoleBinding apiVersion::s kind::s metadata:1:ObjectMeta roleRef:3:RoleRef! subjects:2:[]Subject
RoleRef apiGroup:1:s! kind:2:s! name:3:s!
RollingUpdateDaemonSet maxSurge:2:x? maxUnavailable:1:x?
RollingUpdateDeployment maxSurge:2:x? maxUnavailable:1:x?
RollingUpdateStatefulSetStrategy maxUnavailable:2:x? partition:1:i?
SELinuxOptions level:4:s role:2:s type:3:s user:1:s
Scale apiVersion::s kind::s metadata:1:ObjectMeta spec:2:ScaleSpec status:3:ScaleStatus
ScaleIOPersistentVolumeSource fsType:9:s gateway:1:s! protectionDomain:5:s readOnly:10:b secretRef:3:SecretReference?! sslEnabled:4:b storageMode:7:s storagePool:6:s system:2:s! volumeName:8:s
ScaleIOVolumeSource fsType:9:s gateway:1:s! protectionDomain:5:s readOnly:10:b secretRef:3:LocalObjectReference?! sslEnabled:4:b storageMode:7:s storagePool:6:s system:2:s! volumeName:8:s
ScaleSpec replicas:1:i
ScaleStatus replicas:1:i! selector:2:s
SeccompProfile localhostProfile:2:s? type:1:s!(Localhost,RuntimeDefault,Unconfined)
Secret apiVersion::s data:2:{}y immutable:5:b? kind::s metadata:1:ObjectMeta stringData:4:{}s type:3:s
SecretEnvSource name::s optional:2:b? *:1:LocalObjectReference
SecretKeySelector key:2:s! name::s optional:3:b? *:1:LocalObjectReference
SecretProjection items:2:[]KeyToPath name::s optional:4:b? *:1:LocalObjectReference
SecretReference name:1:s namespace:2:s
SecretVolumeSource defaultMode:3:i? items:2:[]KeyToPath optional:4:b? secretName:1:s
SecurityContext allowPrivilegeEscalation:7:b? appArmorProfile:12:AppArmorProfile? capabilities:1:Capabilities? privileged:2:b? procMount:9:s?(Default,Unmasked) readOnlyRootFilesystem:6:b? runAsGroup:8:i? runAsNonRoot:5:b? runAsUser:4:i? seLinuxOptions:3:SELinuxOptions? seccompProfile:11:SeccompProfile? windowsOptions:10:WindowsSecurityContextOptions?
SelfSubjectAccessReview apiVersion::s kind::s metadata:1:ObjectMeta spec:2:SelfSubjectAccessReviewSpec! status:3:SubjectAccessReviewStatus
SelfSubjectAccessReviewSpec nonResourceAttributes:2:NonResourceAttributes? resourceAttributes:1:ResourceAttributes?
SelfSubjectReview apiVersion::s kind::s metadata:1:ObjectMeta status:2:SelfSubjectReviewStatus
SelfSubjectReviewStatus userInfo:1:UserInfo
SelfSubjectRulesReview apiVersion::s kind::s metadata:1:ObjectMeta spec:2:SelfSubjectRulesReviewSpec! status:3:SubjectRulesReviewStatus
SelfSubjectRulesReviewSpec namespace:1:s
Service apiVersion::s kind::s metadata:1:ObjectMeta spec:2:ServiceSpec status:3:ServiceStatus
ServiceAccount apiVersion::s automountServiceAccountToken:4:b? imagePullSecrets:3:[]LocalObjectReference kind::s metadata:1:ObjectMeta secrets:2:[]ObjectReference~name
ServiceAccountTokenProjection audience:1:s expirationSeconds:2:i? path:3:s!
ServicePort appProtocol:6:s? name:1:s nodePort:5:i port:3:i! protocol:2:s(SCTP,TCP,UDP) targetPort:4:x
ServiceSpec allocateLoadBalancerNodePorts:20:b? clusterIP:3:s clusterIPs:18:[]s externalIPs:5:[]s externalName:10:s externalTrafficPolicy:11:s(Cluster,Local) healthCheckNodePort:12:i internalTrafficPolicy:22:s?(Cluster,Local) ipFamilies:19:[]s(,IPv4,IPv6) ipFamilyPolicy:17:s?(PreferDualStack,RequireDualStack,SingleStack) loadBalancerClass:21:s? loadBalancerIP:8:s loadBalancerSourceRanges:9:[]s ports:1:[]ServicePort~port#port,protocol publishNotReadyAddresses:13:b selector:2:{}s sessionAffinity:7:s(ClientIP,None) sessionAffinityConfig:14:SessionAffinityConfig? trafficDistribution:23:s? type:4:s(ClusterIP,ExternalName,LoadBalancer,NodePort)
ServiceStatus conditions:2:[]Condition~type loadBalancer:1:LoadBalancerStatus
SessionAffinityConfig clientIP:1:ClientIPConfig?
SleepAction seconds:1:i!
StatefulSet apiVersion::s kind::s metadata:1:ObjectMeta spec:2:StatefulSetSpec status:3:StatefulSetStatus
StatefulSetCondition lastTransitionTime:3:t message:5:s reason:4:s status:2:s! type:1:s!
StatefulSetOrdinals start:1:i
StatefulSetPersistentVolumeClaimRetentionPolicy whenDeleted:1:s whenScaled:2:s
StatefulSetSpec minReadySeconds:9:i ordinals:11:StatefulSetOrdinals? persistentVolumeClaimRetentionPolicy:10:StatefulSetPersistentVolumeClaimRetentionPolicy? podManagementPolicy:6:s(OrderedReady,Parallel) replicas:1:i? revisionHistoryLimit:8:i? selector:2:LabelSelector?! serviceName:5:s template:3:PodTemplateSpec! updateStrategy:7:StatefulSetUpdateStrategy volumeClaimTemplates:4:[]PersistentVolumeClaim
StatefulSetStatus availableReplicas:11:i collisionCount:9:i? conditions:10:[]StatefulSetCondition~type currentReplicas:4:i currentRevision:6:s observedGeneration:1:i readyReplicas:3:i replicas:2:i! updateRevision:7:s updatedReplicas:5:i
StatefulSetUpdateStrategy rollingUpdate:2:RollingUpdateStatefulSetStrategy? type:1:s(OnDelete,RollingUpdate)
StorageOSPersistentVolumeSource fsType:3:s readOnly:4:b secretRef:5:ObjectReference? volumeName:1:s volumeNamespace:2:s
StorageOSVolumeSource fsType:3:s readOnly:4:b secretRef:5:LocalObjectReference? volumeName:1:s volumeNamespace:2:s
Subject apiGroup:2:s kind:1:s! name:3:s! namespace:4:s
SubjectAccessReview apiVersion::s kind::s metadata:1:ObjectMeta spec:2:SubjectAccessReviewSpec! status:3:SubjectAccessReviewStatus
SubjectAccessReviewSpec extra:5:j groups:4:[]s nonResourceAttributes:2:NonResourceAttributes? resourceAttributes:1:ResourceAttributes? uid:6:s user:3:s
SubjectAccessReviewStatus allowed:1:b! denied:4:b evaluationError:3:s reason:2:s
SubjectRulesReviewStatus evaluationError:4:s incomplete:3:b! nonResourceRules:2:[]NonResourceRule! resourceRules:1:[]ResourceRule!
SuccessPolicy rules:1:[]SuccessPolicyRule!
SuccessPolicyRule succeededCount:2:i? succeededIndexes:1:s?
Sysctl name:1:s! value:2:s!
TCPSocketAction host:2:s port:1:x!
Taint effect:3:s!(NoExecute,NoSchedule,PreferNoSchedule) key:1:s! timeAdded:4:t? value:2:s
TokenRequest apiVersion::s kind::s metadata:1:ObjectMeta spec:2:TokenRequestSpec! status:3:TokenRequestStatus
TokenRequestSpec audiences:1:[]s! boundObjectRef:3:BoundObjectReference? expirationSeconds:4:i?
TokenRequestStatus expirationTimestamp:2:t! token:1:s!
TokenReview apiVersion::s kind::s metadata:1:ObjectMeta spec:2:TokenReviewSpec! status:3:TokenReviewStatus
TokenReviewSpec audiences:2:[]s token:1:s
TokenReviewStatus audiences:4:[]s authenticated:1:b error:3:s user:2:UserInfo
Toleration effect:4:s(NoExecute,NoSchedule,PreferNoSchedule) key:1:s operator:2:s(Equal,Exists,Gt,Lt) tolerationSeconds:5:i? value:3:s
TopologySpreadConstraint labelSelector:4:LabelSelector? matchLabelKeys:8:[]s maxSkew:1:i! minDomains:5:i? nodeAffinityPolicy:6:s?(Honor,Ignore) nodeTaintsPolicy:7:s?(Honor,Ignore) topologyKey:2:s! whenUnsatisfiable:3:s!(DoNotSchedule,ScheduleAnyway)
TypedLocalObjectReference apiGroup:1:s? kind:2:s! name:3:s!
TypedObjectReference apiGroup:1:s? kind:2:s! name:3:s! namespace:4:s?
UncountedTerminatedPods failed:2:[]s# succeeded:1:[]s#
UserInfo extra:4:j groups:3:[]s uid:2:s username:1:s
Volume awsElasticBlockStore::AWSElasticBlockStoreVolumeSource azureDisk::AzureDiskVolumeSource azureFile::AzureFileVolumeSource cephfs::CephFSVolumeSource cinder::CinderVolumeSource configMap::ConfigMapVolumeSource csi::CSIVolumeSource downwardAPI::DownwardAPIVolumeSource emptyDir::EmptyDirVolumeSource ephemeral::EphemeralVolumeSource fc::FCVolumeSource flexVolume::FlexVolumeSource flocker::FlockerVolumeSource gcePersistentDisk::GCEPersistentDiskVolumeSource gitRepo::GitRepoVolumeSource glusterfs::GlusterfsVolumeSource hostPath::HostPathVolumeSource image::ImageVolumeSource iscsi::ISCSIVolumeSource name:1:s! nfs::NFSVolumeSource persistentVolumeClaim::PersistentVolumeClaimVolumeSource photonPersistentDisk::PhotonPersistentDiskVolumeSource portworxVolume::PortworxVolumeSource projected::ProjectedVolumeSource quobyte::QuobyteVolumeSource rbd::RBDVolumeSource scaleIO::ScaleIOVolumeSource secret::SecretVolumeSource storageos::StorageOSVolumeSource vsphereVolume::VsphereVirtualDiskVolumeSource *:2:VolumeSource
VolumeDevice devicePath:2:s! name:1:s!
VolumeMount mountPath:3:s! mountPropagation:5:s?(Bidirectional,HostToContainer,None) name:1:s! readOnly:2:b recursiveReadOnly:7:s? subPath:4:s subPathExpr:6:s
VolumeMountStatus mountPath:2:s! name:1:s! readOnly:3:b recursiveReadOnly:4:s?
VolumeNodeAffinity required:1:NodeSelector?
VolumeProjection clusterTrustBundle:5:ClusterTrustBundleProjection? configMap:3:ConfigMapProjection? downwardAPI:2:DownwardAPIProjection? podCertificate:6:PodCertificateProjection? secret:1:SecretProjection? serviceAccountToken:4:ServiceAccountTokenProjection?
VolumeResourceRequirements limits:1:{}q requests:2:{}q
VolumeSource hostPath:1:HostPathVolumeSource? emptyDir:2:EmptyDirVolumeSource? gcePersistentDisk:3:GCEPersistentDiskVolumeSource? awsElasticBlockStore:4:AWSElasticBlockStoreVolumeSource? gitRepo:5:GitRepoVolumeSource? secret:6:SecretVolumeSource? nfs:7:NFSVolumeSource? iscsi:8:ISCSIVolumeSource? glusterfs:9:GlusterfsVolumeSource? persistentVolumeClaim:10:PersistentVolumeClaimVolumeSource? rbd:11:RBDVolumeSource? flexVolume:12:FlexVolumeSource? cinder:13:CinderVolumeSource? cephfs:14:CephFSVolumeSource? flocker:15:FlockerVolumeSource? downwardAPI:16:DownwardAPIVolumeSource? fc:17:FCVolumeSource? azureFile:18:AzureFileVolumeSource? configMap:19:ConfigMapVolumeSource? vsphereVolume:20:VsphereVirtualDiskVolumeSource? quobyte:21:QuobyteVolumeSource? azureDisk:22:AzureDiskVolumeSource? photonPersistentDisk:23:PhotonPersistentDiskVolumeSource? projected:26:ProjectedVolumeSource? portworxVolume:24:PortworxVolumeSource? scaleIO:25:ScaleIOVolumeSource? storageos:27:StorageOSVolumeSource? csi:28:CSIVolumeSource? ephemeral:29:EphemeralVolumeSource? image:30:ImageVolumeSource?
VsphereVirtualDiskVolumeSource fsType:2:s storagePolicyID:4:s storagePolicyName:3:s volumePath:1:s!
WeightedPodAffinityTerm podAffinityTerm:2:PodAffinityTerm! weight:1:i!
WindowsSecurityContextOptions gmsaCredentialSpec:2:s? gmsaCredentialSpecName:1:s? hostProcess:4:b? runAsUserName:3:s?
WorkloadReference name:1:s! podGroup:2:s! podGroupReplicaKey:3:s
events.Event action:6:s apiVersion::s deprecatedCount:15:i deprecatedFirstTimestamp:13:t deprecatedLastTimestamp:14:t deprecatedSource:12:EventSource eventTime:2:T! kind::s metadata:1:ObjectMeta note:10:s reason:7:s regarding:8:ObjectReference related:9:ObjectReference? reportingController:4:s reportingInstance:5:s series:3:events.EventSeries? type:11:s
events.EventSeries count:1:i! lastObservedTime:2:T!
`
